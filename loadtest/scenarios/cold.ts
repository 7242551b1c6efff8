import { setTimeout as delay } from 'node:timers/promises';
import type { Platform } from '../../services/up/platform.ts';
import { createSender } from '../generators/send.ts';
import { checkAnswers } from '../loads.ts';
import { zoneKeepers } from '../machine/instance.ts';
import { Measurement } from '../measurement.ts';
import { withoutPools } from '../platform/without-pools.ts';
import type { Scenario, ScenarioContext } from '../scenario.ts';
import { createFunctions } from '../workloads/functions.ts';
import { type LoadRuntime, snippet } from '../workloads/snippets.ts';
import type { Workload } from '../workloads/workload.ts';

/** A zone that has lived so long is replaced without back-off when its zygote goes, milliseconds. */
const healthyMs = 11_000;

/** There is no zygote: it is killed right before the call, or the function has just been deployed. */
export const cold: Scenario = {
  name: 'cold',
  description: 'the zygote has to boot first: after a crash of it, and at the first call of a new function',
  needsMachine: true,
  async run(context) {
    const repetitions = context.settings.isQuick ? 2 : 5;
    await context.withTarget(withoutPools, async ({ url, platform }) => {
      if (!platform) throw new Error('cannot measure cold starts: the platform is not ours');
      await afterCrashes(url, platform, context.settings.isQuick ? 1 : repetitions, context);
      await firstCalls(url, repetitions, context);
    });
  },
};

async function afterCrashes(
  url: string,
  platform: Platform,
  repetitions: number,
  { settings, progress, findings, signal }: ScenarioContext,
): Promise<void> {
  const loads = settings.runtimes.map((runtime) => ({ runtime, workload: snippet(runtime) }));
  const measured = loads.map(({ runtime, workload }) => ({
    runtime,
    workload,
    measurement: coldMeasurement(`cold ${runtime}`, runtime),
  }));
  await checkAnswers(
    url,
    loads.map(({ workload }) => workload),
  );
  for (let repetition = 1; repetition <= repetitions; repetition++) {
    // Before the first one as well: nothing is known of how long ago the zones booted.
    if (!settings.isQuick || repetition > 1) {
      progress.detail(`zygotes killed ${repetition} of ${repetitions}: waiting until they count as healthy`);
      await delay(healthyMs, undefined, { signal });
    }
    for (const { runtime, workload, measurement } of measured) {
      progress.detail(`${runtime}, zygote killed, ${repetition} of ${repetitions}`);
      await killZygote(platform, runtime);
      await call(url, workload, measurement);
    }
  }
  findings.series.push(...measured.map(({ measurement }) => measurement.toSeries()));
}

async function firstCalls(url: string, repetitions: number, context: ScenarioContext): Promise<void> {
  const { settings, progress, findings, signal } = context;
  const kinds = settings.runtimes.flatMap((runtime) => [
    { runtime, kind: 'empty' as const },
    { runtime, kind: 'heavy' as const },
  ]);
  for (const { runtime, kind } of kinds) {
    let measurement: Measurement | undefined;
    for (let repetition = 1; repetition <= repetitions; repetition++) {
      signal.throwIfAborted();
      const functions = createFunctions(url);
      try {
        const workload = await functions[kind](runtime);
        progress.detail(`${workload.name}, first call, ${repetition} of ${repetitions}`);
        measurement ??= coldMeasurement(`cold ${workload.name}, first call`, workload.name);
        await call(url, workload, measurement);
      } finally {
        await functions.remove();
      }
    }
    if (measurement) findings.series.push(measurement.toSeries());
  }
}

async function call(url: string, workload: Workload, measurement: Measurement): Promise<void> {
  const sender = createSender(url, 1);
  try {
    const startedAt = performance.now();
    const answer = await sender.send(workload);
    const latencyMs = performance.now() - startedAt;
    measurement.onSample({ workload, atMs: 0, latencyMs, answer });
    measurement.endRound(latencyMs / 1000);
  } finally {
    await sender.close();
  }
}

/** The zone goes with it, and the worker opens another. */
async function killZygote({ config }: Platform, runtime: LoadRuntime): Promise<void> {
  const all = await zoneKeepers(config.instance, 'zygote');
  const zygotes = all.filter(({ program }) => program.startsWith(runtime));
  if (zygotes.length === 0) throw new Error(`cannot measure cold starts: no zygote of ${runtime} was found`);
  for (const { pid } of zygotes) process.kill(pid, 'SIGKILL');
}

function coldMeasurement(name: string, workload: string): Measurement {
  return new Measurement({ name, scenario: 'cold', workload, generator: 'closed', concurrency: 1 });
}
