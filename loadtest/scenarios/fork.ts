import { checkAnswers, closedLoad, measureInRounds, pacedLoad } from '../loads.ts';
import { withoutPools } from '../platform/without-pools.ts';
import type { Scenario } from '../scenario.ts';
import { createFunctions } from '../workloads/functions.ts';
import { snippet } from '../workloads/snippets.ts';

/** Every call makes its own sandbox: the platform is told to keep none parked. */
export const fork: Scenario = {
  name: 'fork',
  description: 'the pool is empty, the zygote ready',
  needsMachine: true,
  async run(context) {
    const { runtimes, durationMs, concurrency = 32, isQuick } = context.settings;
    const rounds = isQuick ? 1 : 3;
    const pacedMs = (durationMs ?? (isQuick ? 800 : 15_000)) / rounds;
    const closedMs = (durationMs ?? (isQuick ? 500 : 6_000)) / rounds;
    await context.withTarget(withoutPools, async ({ url }) => {
      const functions = createFunctions(url);
      const workloads = runtimes.map((runtime) => snippet(runtime));
      for (const runtime of runtimes) workloads.push(await functions.empty(runtime));
      // The first call may have to wait for the zygote.
      await checkAnswers(url, [...workloads, ...workloads]);
      const loads = workloads.flatMap((workload) => {
        const options = { url, scenario: 'fork', workload };
        const unpaused = { ...options, name: `fork ${workload.name}, without pauses`, roundMs: closedMs };
        return [
          pacedLoad({ ...options, roundMs: pacedMs }, context),
          closedLoad({ ...unpaused, concurrency }, context),
        ];
      });
      await measureInRounds(loads, rounds, context);
      for (const { name, starts } of context.findings.series.filter(({ scenario }) => scenario === 'fork')) {
        const others = Object.entries(starts).filter(([kind]) => kind !== 'fork');
        const text = others.map(([kind, count]) => `${count} ${kind}`).join(', ');
        if (others.length > 0) context.findings.notes.push(`${name}: not every start was a fork: ${text}`);
      }
    });
  },
};
