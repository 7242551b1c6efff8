import { type ErrorCode, errorStatus } from '../../sdk/contract/error.ts';

/** How far a caller is from one of his limits. */
export interface RateLimit {
  /** A token of RFC 9651. */
  name: string;
  limit: number;
  remaining: number;
  /** When there is more. */
  resetSeconds: number;
  /** Absent where it does not go by time. */
  windowSeconds?: number;
}

export interface ErrorDetails {
  field?: string;
  invocationId?: string;
  retryAfterSeconds?: number;
  /** Which limit was reached, for the reply's headers. */
  rateLimit?: RateLimit;
  cause?: unknown;
}

/** Our fault or the request's, never the function's: that is an outcome. Only on-error.ts makes HTTP of it. */
export class PlatformError extends Error {
  override readonly name = 'PlatformError';
  readonly code: ErrorCode;
  readonly details: ErrorDetails;

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? {} : { cause: details.cause });
    this.code = code;
    this.details = details;
  }

  get status(): number {
    return errorStatus[this.code];
  }
}
