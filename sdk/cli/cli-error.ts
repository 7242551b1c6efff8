import type { ErrorCode } from '../contract/error.ts';
import { OnceboxError } from '../oncebox-error.ts';

/** Ends the command line with a message and an exit code. */
export class CliError extends Error {
  readonly exitCode: number;

  constructor(message: string, exitCode = 1) {
    super(message);
    this.exitCode = exitCode;
  }
}

/** What to do next, where we know it. */
const hints: Partial<Record<ErrorCode, string>> = {
  image_not_found: '"oncebox images" lists what is there; pull, import or build adds to it',
  image_in_use:
    '"oncebox ps" lists the sandboxes on it; with --force their invocations are waited for, and it is removed',
  registry_failed:
    'check the name; a private registry needs --username and --password-stdin, one without TLS --insecure',
  storage_full: '"oncebox prune" removes what no image needs, "oncebox df" says how much that is',
  unauthorized: 'give a key with ONCEBOX_API_KEY or --key; "oncebox up" says where the first one lies',
  forbidden: 'a key with that scope is needed: "oncebox keys create" makes one',
  secret_missing: '"oncebox secret set NAME" keeps one, from standard input',
  idempotency_mismatch: 'a key stands for one request: take another --idempotency-key, or none',
  concurrency_exceeded: '"oncebox settings FUNCTION" says how many run at once; those with --async wait',
  queue_full: 'try again in a moment',
  unavailable: 'look at the log of "oncebox up": the worker may have ended',
  invocation_not_found: 'finished invocations are kept for a while only',
};

/** The message and exit code for whatever was thrown, or undefined for a bug. */
export function explain(error: unknown, url: string): { message: string; exitCode: number } | undefined {
  if (error instanceof CliError) return error;
  if (error instanceof OnceboxError) {
    const hint = error.code && hints[error.code];
    return { message: hint ? `${error.message}\n${hint}` : error.message, exitCode: 1 };
  }
  const reason = connectionFailure(error);
  if (reason === undefined) return undefined;
  return {
    message: `cannot reach oncebox at ${url}: ${reason}\nstart it with "oncebox up", or say where it is with --url or ONCEBOX_URL`,
    exitCode: 1,
  };
}

/** `fetch` wraps what went wrong on the socket, once or twice. */
function connectionFailure(error: unknown): string | undefined {
  if (!(error instanceof TypeError) || error.message !== 'fetch failed') {
    return error instanceof TypeError && error.message === 'terminated'
      ? 'the connection was lost'
      : undefined;
  }
  const { cause } = error;
  const first = cause instanceof AggregateError ? cause.errors[0] : cause;
  if (!(first instanceof Error)) return 'the request failed';
  const { code } = first as NodeJS.ErrnoException;
  return code === 'ECONNREFUSED' ? 'nothing listens there' : first.message || code || 'the request failed';
}
