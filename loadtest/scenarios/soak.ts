import { setTimeout as delay } from 'node:timers/promises';
import type { Platform } from '../../services/up/platform.ts';
import { openLoop } from '../generators/open-loop.ts';
import { openLoopNotes } from '../generators/open-loop-notes.ts';
import { seededRandom } from '../generators/random.ts';
import { checkAnswers } from '../loads.ts';
import { residentBytes } from '../machine/process-memory.ts';
import { hostResidue, platformResidue, settledResidue } from '../machine/residue.ts';
import { MixMeasurement } from '../mix-measurement.ts';
import type { Scenario, ScenarioContext, Target } from '../scenario.ts';
import { createFunctions } from '../workloads/functions.ts';
import { createMix } from '../workloads/mix.ts';

const maxInFlight = 2000;
/** Readings of memory over the whole load. */
const readings = 200;
/** What is idle is given back after a while: how long that may take, milliseconds. */
const giveBackWithinMs = 60_000;

/** A steady load for an hour: whether it stays as fast, and as small, as it was, and leaves nothing behind. */
export const soak: Scenario = {
  name: 'soak',
  description: 'a steady mix for an hour: rate and memory over time, and what is left behind',
  needsMachine: false,
  async run(context) {
    // Functions out of use give back what is parked for them while we wait for it.
    const settings = { ONCEBOX_POOL_FUNCTION_IDLE_MS: '5000' };
    await context.withTarget(settings, async (target) => {
      await steadyLoad(target, context);
      if (!target.platform) return;
      await target.platform.close();
      Object.assign(context.findings.residue?.after ?? {}, await hostResidue(target.platform.config));
    });
  },
};

async function steadyLoad({ url, platform }: Target, context: ScenarioContext): Promise<void> {
  const { settings, progress, findings, signal } = context;
  const durationMs = settings.durationMs ?? (settings.isQuick ? 5_000 : 3_600_000);
  const rate = settings.rate ?? 50;
  const before = platform && (await platformResidue(platform));
  const functions = createFunctions(url);
  try {
    const mix = await createMix(functions, settings.runtimes, settings.isQuick ? 4 : 10);
    await checkAnswers(url, mix.workloads);
    const measurement = new MixMeasurement('soak', rate);
    const over = new AbortController();
    const watching = watch(platform, measurement, durationMs, context, over.signal);
    try {
      const arrivals = mix.arrivals(rate, durationMs, seededRandom(settings.seed));
      const { onSample } = measurement;
      const result = await openLoop({ url, arrivals, maxInFlight, onSample, signal });
      measurement.endRound(result.seconds);
      findings.notes.push(...openLoopNotes('soak', result, maxInFlight));
    } finally {
      over.abort();
      await watching;
    }
    findings.series.push(...measurement.toSeries());
    findings.timelines.push(...measurement.timelines(durationMs));
  } finally {
    await functions.remove();
  }
  if (!platform || !before) return;
  progress.detail('waiting until what is idle has been given back');
  const after = await settledResidue(platform, before, giveBackWithinMs, signal);
  findings.residue = { before, after };
}

/** Reads memory, and the answers so far, while the load goes on. Resolves when `over` is aborted; never rejects for that. */
async function watch(
  platform: Platform | undefined,
  measurement: MixMeasurement,
  durationMs: number,
  { progress, findings }: ScenarioContext,
  over: AbortSignal,
): Promise<void> {
  const curves = new Map<string, [number, number][]>();
  const startedAt = performance.now();
  while (!over.aborted) {
    const seconds = (performance.now() - startedAt) / 1000;
    if (platform) {
      for (const [part, bytes] of Object.entries(await residentBytes(platform))) {
        const points = curves.get(part) ?? [];
        points.push([seconds, bytes]);
        curves.set(part, points);
      }
    }
    measurement.read();
    progress.detail(`${Math.round(seconds)} of ${Math.round(durationMs / 1000)} s`);
    await delay(Math.max(250, durationMs / readings), undefined, { signal: over }).catch(() => {});
  }
  for (const [part, points] of curves) {
    findings.timelines.push({ name: `soak, memory of ${part}`, unit: 'bytes', points });
  }
}
