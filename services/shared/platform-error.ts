import { type ErrorCode, errorStatus } from '../../sdk/contract/error.ts';

export interface ErrorDetails {
  field?: string;
  invocationId?: string;
  retryAfterSeconds?: number;
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
