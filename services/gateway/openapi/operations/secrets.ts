import type { RouteConfig } from '@asteasolutions/zod-to-openapi';
import { z } from 'zod';
import {
  secretListSchema,
  secretMaxBytes,
  secretNameSchema,
  secretRequestSchema,
  secretSchema,
} from '../../../../sdk/contract/secret.ts';
import { errors, json, reply } from '../errors.ts';
import { named } from '../named.ts';

named('Secret', secretSchema);
const secretParams = z.object({ name: named('SecretName', secretNameSchema) });
const { value, base64 } = secretRequestSchema.shape;
const base64Chars = Math.ceil(secretMaxBytes / 3) * 4;

export const secretOperations: RouteConfig[] = [
  {
    method: 'put',
    path: '/v1/secrets/{name}',
    operationId: 'putSecret',
    summary: 'Keeps a secret, in the place of one of the same name',
    description:
      'It is sealed by the gateway, and opened by a worker when a function that names it in `secrets` is called. Nobody can read it back.',
    request: {
      params: secretParams,
      body: {
        required: true,
        content: json(
          z.union([
            z.strictObject({ value: value.unwrap() }),
            z.strictObject({
              base64: named('Base64', base64.unwrap(), {
                pattern: '^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$',
                maxLength: base64Chars,
              }),
            }),
          ]),
          { value: 's3cr3t' },
        ),
      },
    },
    responses: {
      200: reply('It has this value from the next call on.', json(secretSchema)),
      201: reply('It is new.', json(secretSchema)),
      ...errors('invalid_request', 'body_too_large', 'quota_exceeded'),
    },
  },
  {
    method: 'get',
    path: '/v1/secrets',
    operationId: 'listSecrets',
    summary: 'Names, sizes and times of the secrets',
    responses: { 200: reply('Sorted by name.', json(secretListSchema)), ...errors() },
  },
  {
    method: 'delete',
    path: '/v1/secrets/{name}',
    operationId: 'deleteSecret',
    summary: 'Removes a secret; functions that name it cannot be called any more',
    request: { params: secretParams },
    responses: { 204: reply('It is gone.', undefined), ...errors('secret_not_found') },
  },
];
