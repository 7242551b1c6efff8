import { checkAnswers, closedLoad, measureInRounds } from '../loads.ts';
import type { Scenario } from '../scenario.ts';
import { snippet } from '../workloads/snippets.ts';

/** Twice as many callers at every step: where throughput stops growing, and what waiting costs from there. */
export const ramp: Scenario = {
  name: 'ramp',
  description: 'throughput and latency at 1, 2, 4 … 256 callers',
  needsMachine: false,
  async run(context) {
    const { runtimes, durationMs, concurrency = 256, isQuick } = context.settings;
    const roundMs = durationMs ?? (isQuick ? 250 : 5_000);
    const steps: number[] = [];
    for (let step = 1; step <= concurrency; step *= isQuick ? 4 : 2) steps.push(step);
    await context.withTarget({}, async ({ url }) => {
      const workloads = runtimes.map((runtime) => snippet(runtime));
      await checkAnswers(url, workloads);
      // One step after the other, each prepared just before it: the platform meets them as it would meet growth.
      for (const step of steps) {
        const options = { url, scenario: 'ramp', concurrency: step, roundMs };
        const loads = workloads.map((workload) => closedLoad({ ...options, workload }, context));
        await measureInRounds(loads, 1, context);
      }
    });
  },
};
