import type { Invocation } from '../../../sdk/contract/invocation.ts';
import type { Outcome } from '../../../sdk/contract/outcome.ts';
import { LambdaError } from './errors.ts';

/** What a function that failed is answered with, in Lambda's words. */
export interface Failure {
  errorType: string;
  errorMessage: string;
  /** Lines; node's functions have `trace`, python's `stackTrace`. */
  trace?: string[];
  stackTrace?: string[];
}

/**
 * Undefined where it ended well. Throws ServiceException where it is the platform that failed, which clients send again: what
 * somebody cancelled is the function's failure, or it would run once more.
 */
export function failureOf({ id, outcome }: Invocation): Failure | undefined {
  if (outcome?.status === 'ok') return undefined;
  if (outcome === undefined || outcome.status === 'lost' || outcome.status === 'compile_failed')
    throw new LambdaError('ServiceException', 500, platformFailure(id, outcome));
  return failed(id, outcome);
}

/** A function is not compiled. */
type Failed = Exclude<Outcome, { status: 'ok' | 'lost' | 'compile_failed' }>;

function failed(id: string, outcome: Failed): Failure {
  const exit = (how: string): Failure => ({
    errorType: 'Runtime.ExitError',
    errorMessage: `RequestId: ${id} Error: Runtime exited with error: ${how}`,
  });
  switch (outcome.status) {
    case 'function_error': {
      const { name, message, stack } = outcome;
      // It ended by itself, with 0 and before there was a result.
      if (name === 'NoResult' && stack === '')
        return {
          ...exit(''),
          errorMessage: `RequestId: ${id} Error: Runtime exited without providing a reason`,
        };
      return { errorType: name, errorMessage: message, ...traceOf(stack.trimEnd()) };
    }
    case 'timeout':
      return {
        errorType: 'Sandbox.Timedout',
        errorMessage: `RequestId: ${id} Error: Task timed out after ${(outcome.ms / 1000).toFixed(2)} seconds`,
      };
    case 'oom_killed':
      return {
        errorType: 'Runtime.OutOfMemory',
        errorMessage: `RequestId: ${id} Error: Runtime exited with error: signal: killed`,
      };
    case 'exited':
      return exit(`exit status ${outcome.exitCode}`);
    case 'signaled':
      return exit(`signal: ${outcome.signal}`);
    case 'cancelled':
      return exit('signal: killed');
    case 'limit_exceeded':
      return {
        errorType: 'Sandbox.LimitExceeded',
        errorMessage: `RequestId: ${id} Error: the ${outcome.limit} limit of ${outcome.max} was exceeded`,
      };
  }
}

/** Python's begins with a heading, or with the first frame where a program of an image has told the frames alone. */
function traceOf(stack: string): Pick<Failure, 'trace' | 'stackTrace'> {
  const lines = stack.split('\n');
  if (/^(Traceback |\s+File ")/.test(stack)) return { stackTrace: framesOf(lines) };
  return stack === '' ? {} : { trace: lines };
}

/** Python's frames without the heading and without the error itself. */
function framesOf(lines: string[]): string[] {
  const frames: string[] = [];
  for (const line of lines) {
    if (line.startsWith('  File ')) frames.push(line);
    else if (line.startsWith('    ') && frames.length > 0) frames.push(`${frames.pop()}\n${line}`);
  }
  return frames.map((frame) => `${frame}\n`);
}

function platformFailure(id: string, outcome: Outcome | undefined): string {
  return `the platform lost the invocation ${id}${outcome?.status === 'lost' ? `: ${outcome.reason}` : ''}`;
}
