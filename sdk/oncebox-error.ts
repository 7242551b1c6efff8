import { z } from 'zod';
import { type ErrorBody, type ErrorCode, errorCodeSchema } from './contract/error.ts';
import { type Outcome, outcomeSchema } from './contract/outcome.ts';

/** What else is known of a refusal. */
interface ErrorDetails extends ErrorOptions {
  retryAfterMs?: number | undefined;
}

/** Holds across copies of this package too, of which a program may load one by `import` and one by `require`. */
const brand = Symbol.for('oncebox.error');

/** A reply of 400 or above, or a task that ended with an error. */
export class OnceboxError extends Error {
  override readonly name = 'OnceboxError';
  /** Of HTTP. */
  readonly status: number;
  /** Undefined when the reply is not oncebox's but a proxy's between, or a newer platform's that says more than we know. */
  readonly code: ErrorCode | undefined;
  /** The part of the request that is wrong, such as `limits.wallMs`. */
  readonly field: string | undefined;
  readonly invocationId: string | undefined;
  /** How the handler ended, where that is what the error is about. */
  readonly outcome: Outcome | undefined;
  /** How long the platform asks to be left alone, milliseconds. */
  readonly retryAfterMs: number | undefined;

  constructor(status: number, error: Partial<ErrorBody['error']>, details: ErrorDetails = {}) {
    const { retryAfterMs, ...options } = details;
    super(error.message ?? `HTTP ${status}`, options);
    this.status = status;
    this.code = error.code;
    this.field = error.field;
    this.invocationId = error.invocationId;
    this.outcome = outcomeSchema.safeParse(error.outcome).data;
    this.retryAfterMs = retryAfterMs;
    Object.defineProperty(this, brand, { value: true });
  }
}

/** Whether it is an OnceboxError, and of one of the codes where there are some. */
export function isOnceboxError(error: unknown): error is OnceboxError;
export function isOnceboxError<Code extends ErrorCode>(
  error: unknown,
  ...codes: Code[]
): error is OnceboxError & { readonly code: Code };
export function isOnceboxError(error: unknown, ...codes: ErrorCode[]): boolean {
  if (typeof error !== 'object' || error === null || !(brand in error)) return false;
  const { code } = error as { code?: unknown };
  return codes.length === 0 || codes.some((one) => one === code);
}

/** As `errorBodySchema`, of a platform that may be newer than this. */
const errorReplySchema = z.object({
  error: z.object({
    code: errorCodeSchema.optional().catch(undefined),
    message: z.string(),
    field: z.string().optional(),
    invocationId: z.string().optional(),
    outcome: z.unknown().optional(),
  }),
});

/** What a refusal says. Reads the reply's body. */
export async function errorOfReply(
  response: Response,
  retryAfterMs: number | undefined,
): Promise<OnceboxError> {
  const parsed = errorReplySchema.safeParse(await response.json().catch(() => undefined));
  const { code, ...error } = parsed.success ? parsed.data.error : {};
  return new OnceboxError(response.status, { ...error, ...(code && { code }) }, { retryAfterMs });
}
