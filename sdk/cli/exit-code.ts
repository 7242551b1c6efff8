import { constants } from 'node:os';
import type { Invocation } from '../contract/invocation.ts';

/**
 * The code that `oncebox run` ends with, and what it says beside the program's own output. As a shell and `timeout(1)`
 * have them: 124 for a timeout, 128 and the number for a signal (137 out of memory), 125 for what is the platform's.
 */
export function exitOf({ outcome, stderr, compile }: Pick<Invocation, 'outcome' | 'stderr' | 'compile'>): {
  code: number;
  message?: string;
} {
  switch (outcome?.status) {
    case 'ok':
      return { code: 0 };
    case 'exited':
      return { code: outcome.exitCode };
    case 'function_error': {
      // An interpreter ends with 1 on an uncaught error; mostly it has said so already.
      const said = stderr.includes(outcome.message);
      return { code: 1, ...(!said && { message: outcome.stack || `${outcome.name}: ${outcome.message}` }) };
    }
    case 'timeout':
      return { code: 124, message: `stopped after ${outcome.ms} ms of ${outcome.limit} time` };
    case 'oom_killed':
      return { code: 137, message: `out of memory: the cap is ${outcome.memoryMaxBytes} bytes` };
    case 'signaled': {
      const number = (constants.signals as Record<string, number>)[outcome.signal];
      return { code: number === undefined ? 125 : 128 + number, message: `ended by ${outcome.signal}` };
    }
    case 'limit_exceeded':
      return { code: 125, message: `stopped: the cap on ${outcome.limit}, ${outcome.max}, was reached` };
    // What the compiler said has been written.
    case 'compile_failed':
      return { code: 1, message: compileMessage(compile) };
    case 'cancelled':
      return { code: 125, message: 'cancelled' };
    case 'lost':
      return { code: 125, message: `the platform lost it: ${outcome.reason}` };
    case undefined:
      return { code: 125, message: 'the platform did not say how it ended' };
  }
}

/** The compiler's own code says little, and its other ends are those of a program. */
function compileMessage(compile: Invocation['compile']): string {
  if (compile === undefined || compile.outcome.status === 'exited') return 'it does not compile';
  const { message = 'it failed' } = exitOf(compile);
  return `the compiler: ${message}`;
}
