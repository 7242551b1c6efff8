import type { RunReport } from '../../runtime/sandbox/sandbox.ts';
import type { Timings } from '../../sdk/contract/invocation.ts';
import type { InvocationJob } from '../queue/job.ts';
import { wallClockMs } from '../shared/wall-clock.ts';

/** Steps of the worker's own, in their order. */
type Step = 'admitMs' | 'prepareMs' | 'compileMs' | 'leaseMs';

export interface Clock {
  /** Also tells what the gateway noted. */
  parsed(data: InvocationJob): void;
  /** The step is over; the next begins. */
  done(step: Step): void;
  timings(report: RunReport | undefined): Timings;
}

/** `enqueuedAt`: Unix time, milliseconds. */
export function startClock(job: { enqueuedAt: number }): Clock {
  const takenAtMs = wallClockMs();
  let stepFrom = performance.now();
  const steps: Pick<Timings, Step> = { admitMs: 0, prepareMs: 0, leaseMs: 0 };
  let isLeased = false;
  // Other processes' clocks, perhaps other machines': never negative, whatever they say.
  let queueMs = Math.max(0, takenAtMs - job.enqueuedAt);
  let receiveMs = 0;
  return {
    parsed({ receivedAtMs, enqueuedAtMs = job.enqueuedAt }) {
      queueMs = Math.max(0, takenAtMs - enqueuedAtMs);
      receiveMs = Math.max(0, enqueuedAtMs - (receivedAtMs ?? enqueuedAtMs));
    },
    done(step) {
      const now = performance.now();
      steps[step] = round(now - stepFrom);
      stepFrom = now;
      if (step === 'leaseMs') isLeased = true;
    },
    timings: (report) => ({
      receiveMs: round(receiveMs),
      queueMs: round(queueMs),
      ...steps,
      startMs: (report?.startUsec ?? 0) / 1000,
      runMs: report ? report.runUsec / 1000 : isLeased ? round(performance.now() - stepFrom) : 0,
    }),
  };
}

/** To a microsecond. */
export function round(ms: number): number {
  return Math.round(ms * 1000) / 1000;
}
