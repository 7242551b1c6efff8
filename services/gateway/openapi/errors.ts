import type { ResponseConfig } from '@asteasolutions/zod-to-openapi';
import { z } from 'zod';
import { type ErrorCode, errorBodySchema, errorStatus } from '../../../sdk/contract/error.ts';
import { named } from './named.ts';

export const errorSchema = named('Error', errorBodySchema);

const requestId = {
  'oncebox-request-id': {
    description: "Names the request in the gateway's log.",
    schema: { type: 'string' as const },
    required: false,
  },
};
const retryAfter = {
  'retry-after': {
    description: 'Seconds.',
    schema: { type: 'integer' as const, minimum: 1 },
    required: false,
  },
};

const comesAgain = new Set<ErrorCode>([
  'queue_full',
  'input_full',
  'unavailable',
  'rate_limited',
  'quota_exceeded',
]);
const challenge = {
  'www-authenticate': {
    description: 'RFC 6750.',
    schema: { type: 'string' as const },
    required: true,
  },
};

/** What any request can meet, whatever it asks for. */
const always: ErrorCode[] = ['request_timeout', 'headers_too_large', 'internal', 'unavailable'];
/** And any but those that are open to all, where keys are asked for. */
const withKeys: ErrorCode[] = ['unauthorized', 'forbidden', 'rate_limited'];

type Responses = Record<string, ResponseConfig>;

/** The error replies of an operation: one for each status, whose body has one of the codes given. */
export function errors(...codes: ErrorCode[]): Responses {
  return errorsOfOpen(...codes, ...withKeys);
}

/** The same of an operation that never asks for a key. */
export function errorsOfOpen(...codes: ErrorCode[]): Responses {
  const byStatus = new Map<number, ErrorCode[]>();
  for (const code of [...codes, ...always]) {
    const status = errorStatus[code];
    byStatus.set(status, [...new Set([...(byStatus.get(status) ?? []), code])]);
  }
  const entries = [...byStatus].sort(([a], [b]) => a - b);
  return Object.fromEntries(entries.map(([status, list]) => [String(status), response(list)]));
}

function response(codes: ErrorCode[]): ResponseConfig {
  return {
    description: codes.map((code) => `\`${code}\``).join(', '),
    headers: {
      ...requestId,
      ...(codes.some((code) => comesAgain.has(code)) && retryAfter),
      ...(codes.includes('unauthorized') && challenge),
    },
    content: {
      'application/json': {
        schema: {
          allOf: [
            { $ref: '#/components/schemas/Error' },
            {
              type: 'object',
              properties: { error: { type: 'object', properties: { code: { enum: codes } } } },
            },
          ],
        },
        example: { error: { code: codes[0], message: 'what is wrong, and what to do about it' } },
      },
    },
  };
}

/** A reply that went well, with the headers that all have. */
export function reply(
  description: string,
  content: ResponseConfig['content'],
  headers: Record<string, unknown> = {},
  links?: ResponseConfig['links'],
): ResponseConfig {
  return {
    description,
    headers: { ...requestId, ...headers } as NonNullable<ResponseConfig['headers']>,
    ...(content && { content }),
    ...(links && { links }),
  };
}

export function json(schema: z.ZodType, example?: unknown) {
  return { 'application/json': { schema, ...(example !== undefined && { example }) } };
}

/** What is no text: OpenAPI 3.1 has no schema for it but the media type. */
export const bytes = {};
export const anything = z.unknown();
