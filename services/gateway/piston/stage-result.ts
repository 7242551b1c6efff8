import { constants } from 'node:os';
import type { Invocation } from '../../../sdk/contract/invocation.ts';
import type { Outcome } from '../../../sdk/contract/outcome.ts';

/** How a stage ended, in the words of Piston and of isolate, which it runs programs in. */
export interface StageEnd {
  code: number | null;
  signal: string | null;
  message: string | null;
  /** RE: it failed; SG: a signal ended it; TO: time; OL, EL: too much on stdout, stderr; XX: we failed. */
  status: 'RE' | 'SG' | 'TO' | 'OL' | 'EL' | 'XX' | null;
}

export interface StageResult extends StageEnd {
  stdout: string;
  stderr: string;
  /** Both, in the order in which they came. */
  output: string;
  /** Milliseconds. */
  cpu_time: number | null;
  wall_time: number | null;
  /** The most that it had, bytes. */
  memory: number | null;
}

export type Printed = Pick<Invocation, 'stdout' | 'stderr' | 'stdoutTruncated' | 'stderrTruncated' | 'usage'>;

export function stageResult(outcome: Outcome | undefined, printed: Printed, output: string): StageResult {
  const { stdout, stderr, usage } = printed;
  const { code, signal, message, status } = stageEnd(outcome, printed);
  return {
    ...{ stdout, stderr, output, code, signal, message, status },
    cpu_time: usage ? Math.round(usage.cpuMs) : null,
    wall_time: usage ? Math.round(usage.wallMs) : null,
    memory: usage?.memoryPeakBytes ?? null,
  };
}

export function stageEnd(
  outcome: Outcome | undefined,
  { stdoutTruncated, stderrTruncated }: Pick<Printed, 'stdoutTruncated' | 'stderrTruncated'>,
): StageEnd {
  if (stdoutTruncated) return killed('OL', 'stdout length exceeded');
  if (stderrTruncated) return killed('EL', 'stderr length exceeded');
  switch (outcome?.status) {
    case 'ok':
      return { code: 0, signal: null, message: null, status: null };
    case 'exited':
      return exited(outcome.exitCode);
    case 'signaled':
      return signaled(outcome.signal);
    case 'timeout':
      return killed('TO', `Time limit exceeded${outcome.limit === 'wall' ? ' (wall clock)' : ''}`);
    case 'oom_killed':
      return killed('SG', `Memory limit of ${outcome.memoryMaxBytes} bytes exceeded`);
    case 'limit_exceeded':
      if (outcome.limit === 'output') return killed('OL', 'output length exceeded');
      // What it ended with is hidden by the reason for it.
      return failed(1, `Limit of ${outcome.max} exceeded: ${outcome.limit}`);
    case 'cancelled':
      return killed('SG', 'Cancelled');
    case 'function_error':
      // What was thrown is on stderr.
      return exited(1);
    case 'lost':
      return { code: null, signal: null, message: outcome.reason, status: 'XX' };
    default:
      return { code: null, signal: null, message: 'The platform has no result', status: 'XX' };
  }
}

function exited(code: number): StageEnd {
  return failed(code, `Exited with error status ${code}`);
}

function failed(code: number, message: string): StageEnd {
  return { code, signal: null, message, status: 'RE' };
}

function killed(status: 'SG' | 'TO' | 'OL' | 'EL', message: string): StageEnd {
  return { code: null, signal: 'SIGKILL', message, status };
}

function signaled(signal: string): StageEnd {
  const number = constants.signals[signal as NodeJS.Signals];
  return { code: null, signal, message: `Caught fatal signal ${number ?? signal}`, status: 'SG' };
}
