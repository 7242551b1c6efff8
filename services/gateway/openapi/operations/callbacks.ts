import type { RouteConfig } from '@asteasolutions/zod-to-openapi';
import { callbackSecretSchema } from '../../../../sdk/contract/callback.ts';
import { errors, json, reply } from '../errors.ts';
import { named } from '../named.ts';

const secret = json(named('CallbackSecret', callbackSecretSchema));

export const callbackOperations: RouteConfig[] = [
  {
    method: 'get',
    path: '/v1/callback-secret',
    operationId: 'getCallbackSecret',
    summary: 'What callbacks are signed with',
    responses: { 200: reply('Made at the first look.', secret), ...errors() },
  },
  {
    method: 'post',
    path: '/v1/callback-secret',
    operationId: 'rotateCallbackSecret',
    summary: 'Makes a new secret',
    description: 'For a day callbacks are signed with the one before too: the header has a `v1` for each.',
    responses: { 200: reply('The new one.', secret), ...errors() },
  },
];
