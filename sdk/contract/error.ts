import { z } from 'zod';
import type { Outcome } from './outcome.ts';

/** Every code an error body can carry, with its HTTP status. Closed: a client may switch over it. */
export const errorStatus = {
  /** The request is malformed; `field` names what is wrong, as in `limits.wallMs`. */
  invalid_request: 400,
  /** A node lacks what the request asks for; `field` names it. */
  unsupported: 400,
  /** No key, or one that opens nothing: unknown, wrong, expired or deleted. */
  unauthorized: 401,
  /** The key has not the scope that this needs; the message names it. Without keys: a page of elsewhere calls. */
  forbidden: 403,
  route_not_found: 404,
  function_not_found: 404,
  /** The function has no such version, or none before its current one. */
  version_not_found: 404,
  alias_not_found: 404,
  secret_not_found: 404,
  /** Never existed, or finished so long ago that its record is gone. */
  invocation_not_found: 404,
  /** Never was one, or it was deleted, or run again so long ago that its record is gone. */
  dead_letter_not_found: 404,
  image_not_found: 404,
  /** The catalogue has no such language, or not in such a version. */
  language_not_found: 404,
  key_not_found: 404,
  tenant_not_found: 404,
  schedule_not_found: 404,
  method_not_allowed: 405,
  /** The request's headers or body did not come in time. */
  request_timeout: 408,
  /** The catalogue has the language, and no node has it installed. */
  language_not_installed: 409,
  /** Sandboxes stand on the image, or a function's version does. */
  image_in_use: 409,
  /** The version is the function's current one, or an alias points at it. */
  version_in_use: 409,
  /** As many as a tenant may have. */
  schedule_limit_reached: 409,
  /** The function names a secret that is not there. */
  secret_missing: 409,
  /** The invocation takes no input, or not this: it is over, is not interactive, its stdin has ended, or a piece before is missing. */
  input_refused: 409,
  body_too_large: 413,
  /** An archive, manifest or layer that is malformed, incomplete, or not what its digest says. */
  invalid_image: 422,
  /** The idempotency key was used for another request. */
  idempotency_mismatch: 422,
  /** The builder refused the Dockerfile, or one of its steps failed. */
  build_failed: 422,
  /** As many of the function run as its settings allow, and the caller waits for this one. */
  concurrency_exceeded: 429,
  /** The program has not taken what it was sent before. */
  input_full: 429,
  /** Too many invocations wait; Retry-After says when to come back. */
  queue_full: 429,
  /** The tenant's quota of requests a minute is used up; Retry-After says when the next minute begins. */
  rate_limited: 429,
  /** One of the tenant's other quotas is used up; Retry-After says when to come back, where time helps. */
  quota_exceeded: 429,
  /** The path and the headers together are larger than 16 KiB. */
  headers_too_large: 431,
  internal: 500,
  /** The registry could not be reached, or refused. */
  registry_failed: 502,
  /** No mirror of Debian packages could be reached, or what is asked for is not there. */
  packages_failed: 502,
  /** Redis does not answer, no worker is registered, or too many large bodies are being read at once. */
  unavailable: 503,
  /** The disk of the images is full. */
  storage_full: 507,
  /** The reply took too long; the invocation goes on and its record can be read later. */
  result_pending: 504,

  // The outcomes of a handler that did not end `ok`, in reply to a synchronous invoke. No handler is compiled yet.
  function_error: 500,
  exited: 500,
  signaled: 500,
  timeout: 504,
  oom_killed: 507,
  limit_exceeded: 507,
  compile_failed: 422,
  cancelled: 409,
  lost: 502,
} as const satisfies Record<Exclude<Outcome['status'], 'ok'>, number> & Record<string, number>;

export type ErrorCode = keyof typeof errorStatus;

export const errorCodeSchema = z.enum(Object.keys(errorStatus) as [ErrorCode, ...ErrorCode[]]);

/** The body of every reply with a status of 400 and above. */
export const errorBodySchema = z.object({
  error: z.object({
    code: errorCodeSchema,
    message: z.string(),
    /** Path of the offending part of the request, or `body` for the whole. */
    field: z.string().optional(),
    invocationId: z.string().optional(),
    /** How the invocation ended, where that is what the error is about. */
    outcome: z.unknown().optional(),
  }),
});
export type ErrorBody = z.infer<typeof errorBodySchema>;
