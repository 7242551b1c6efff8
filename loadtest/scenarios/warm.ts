import { checkAnswers, closedLoad, measureInRounds, pacedLoad } from '../loads.ts';
import type { Scenario } from '../scenario.ts';
import { createFunctions } from '../workloads/functions.ts';
import { snippet } from '../workloads/snippets.ts';
import type { Workload } from '../workloads/workload.ts';

/** Sandboxes from the pool: one caller who lets it refill, one who does not, and many. */
export const warm: Scenario = {
  name: 'warm',
  description: 'sandboxes wait in the pool: latency of a call, and throughput',
  needsMachine: false,
  async run(context) {
    const { runtimes, durationMs, concurrency = 32, isQuick } = context.settings;
    const rounds = isQuick ? 1 : 3;
    const pacedMs = (durationMs ?? (isQuick ? 800 : 15_000)) / rounds;
    const closedMs = (durationMs ?? (isQuick ? 500 : 6_000)) / rounds;
    await context.withTarget({}, async ({ url }) => {
      const functions = createFunctions(url);
      try {
        const workloads = runtimes.map((runtime) => snippet(runtime));
        for (const runtime of runtimes) workloads.push(await functions.empty(runtime));
        const heavy: Workload[] = [];
        for (const runtime of runtimes) heavy.push(await functions.heavy(runtime));
        workloads.push(...heavy);
        await checkAnswers(url, workloads);
        const loads = workloads.flatMap((workload) => {
          const options = { url, scenario: 'warm', workload };
          const unpaused = { ...options, name: `warm ${workload.name}, without pauses`, roundMs: closedMs };
          const paced = pacedLoad({ ...options, roundMs: pacedMs }, context);
          // Where initialisation is not yet done ahead, many at once take many seconds.
          if (isQuick && heavy.includes(workload)) return [paced];
          return [
            paced,
            closedLoad({ ...unpaused, concurrency: 1 }, context),
            closedLoad({ ...unpaused, concurrency }, context),
          ];
        });
        await measureInRounds(loads, rounds, context);
      } finally {
        await functions.remove();
      }
    });
  },
};
