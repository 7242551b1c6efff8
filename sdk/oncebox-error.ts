import type { ErrorBody, ErrorCode } from './contract/error.ts';

/** A reply of 400 or above, or a task that ended with an error. */
export class OnceboxError extends Error {
  override readonly name = 'OnceboxError';
  readonly status: number;
  /** Undefined when the reply is not oncebox's, but a proxy's between. */
  readonly code: ErrorCode | undefined;
  readonly field: string | undefined;
  readonly invocationId: string | undefined;

  constructor(status: number, error: Partial<ErrorBody['error']>) {
    super(error.message ?? `HTTP ${status}`);
    this.status = status;
    this.code = error.code;
    this.field = error.field;
    this.invocationId = error.invocationId;
  }
}
