import { openLoop } from '../generators/open-loop.ts';
import { openLoopNotes } from '../generators/open-loop-notes.ts';
import { seededRandom } from '../generators/random.ts';
import { checkAnswers } from '../loads.ts';
import { MixMeasurement } from '../mix-measurement.ts';
import type { Scenario } from '../scenario.ts';
import { createFunctions } from '../workloads/functions.ts';
import { createMix } from '../workloads/mix.ts';

const maxInFlight = 1000;

/** What a platform of many users sees: few hot functions, many rare ones, snippets of all runtimes, short and long. */
export const mixed: Scenario = {
  name: 'mixed',
  description:
    'many functions, few of them hot, and snippets, short and long, as independent callers send them',
  needsMachine: false,
  async run(context) {
    const { settings, progress, findings, signal } = context;
    const { runtimes, isQuick, seed } = settings;
    const durationMs = settings.durationMs ?? (isQuick ? 3_000 : 60_000);
    const rate = settings.rate ?? 30;
    await context.withTarget({}, async ({ url }) => {
      const functions = createFunctions(url);
      try {
        const mix = await createMix(functions, runtimes, isQuick ? 10 : 50);
        await checkAnswers(url, mix.workloads);
        progress.detail(`${rate} calls a second for ${durationMs / 1000} s`);
        const measurement = new MixMeasurement('mixed', rate);
        const arrivals = mix.arrivals(rate, durationMs, seededRandom(seed));
        const { onSample } = measurement;
        const result = await openLoop({ url, arrivals, maxInFlight, onSample, signal });
        measurement.endRound(result.seconds);
        findings.series.push(...measurement.toSeries());
        findings.timelines.push(...measurement.timelines(durationMs));
        findings.notes.push(...openLoopNotes('mixed', result, maxInFlight));
      } finally {
        await functions.remove();
      }
    });
  },
};
