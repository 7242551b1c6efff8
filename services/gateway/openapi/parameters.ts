import { z } from 'zod';
import { callbackUrlSchema } from '../../../sdk/contract/callback.ts';
import { functionNameSchema } from '../../../sdk/contract/function.ts';
import { functionReferenceSchema } from '../../../sdk/contract/function-reference.ts';
import { invocationHeadersSchema } from '../../../sdk/contract/invocation-options.ts';
import { named } from './named.ts';

named('FunctionName', functionNameSchema);

/** A function's name, perhaps with a version's number or an alias. */
export const functionRef = z.object({ ref: named('FunctionReference', functionReferenceSchema) });
export const functionName = z.object({ name: functionNameSchema });
export const invocationId = z.object({ id: named('InvocationId', z.string().regex(/^inv_[a-z2-7]{26}$/)) });

const callbackUrl = named('CallbackUrl', callbackUrlSchema, {
  description:
    'With `respond-async`: the finished record is sent there with POST, signed. Port 80, 443 or from 1024 on; no user in it.',
  format: 'uri',
});

/** Of every request that invokes. */
export const invocationHeaders = invocationHeadersSchema.extend({
  /** RFC 7240. Any other preference is ignored, as that demands. */
  prefer: z.union([z.literal('respond-async'), z.string()]).optional(),
  'oncebox-callback': callbackUrl.optional(),
});

/** From a reply to the operations that take the id it tells. */
export const invocationLinks = Object.fromEntries(
  ['getInvocation', 'cancelInvocation', 'getInvocationFiles'].map((operationId) => [
    operationId,
    { operationId, parameters: { id: '$response.header.oncebox-invocation-id' } },
  ]),
);
/** From a deploy to the operations of the function. */
export const functionLinks = Object.fromEntries(
  [
    ['invokeFunction', 'ref'],
    ['getFunction', 'name'],
    ['deleteFunction', 'name'],
  ].map(([operationId = '', parameter = '']) => [
    operationId,
    { operationId, parameters: { [parameter]: '$request.path.name' } },
  ]),
);

const text = { type: 'string' };
/** Of a reply that is about an invocation. */
const replyHeaders = {
  'oncebox-invocation-id': { description: 'Reads the record.', schema: text, required: true },
};
export const finishedHeaders = {
  ...replyHeaders,
  'oncebox-start': {
    description: '`warm`, `fork` or `cold`; absent where nothing was started.',
    schema: { type: 'string', enum: ['warm', 'fork', 'cold'] },
    required: false,
  },
  'server-timing': { description: 'Milliseconds of each phase.', schema: text, required: false },
};
/** Of a call of a function, also where that ends with an error. */
export const versionHeader = {
  'oncebox-function-version': {
    description: 'The version that was chosen.',
    schema: { type: 'integer', minimum: 1 },
    required: true,
  },
};
export const redrivenHeaders = {
  ...replyHeaders,
  location: { description: 'Of the record.', schema: text, required: true },
};
export const acceptedHeaders = {
  ...replyHeaders,
  location: { description: 'Of the record.', schema: text, required: true },
  'preference-applied': { schema: { type: 'string', enum: ['respond-async'] }, required: true },
};
