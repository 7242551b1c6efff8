import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadConfig } from '../../services/shared/config.ts';
import { densityPoint } from '../density/density-point.ts';
import { ParkedPopulation } from '../density/parked-population.ts';
import { startLauncher } from '../floors/bench-launcher.ts';
import type { Density } from '../report/schema.ts';
import { slopeOf } from '../report/statistics.ts';
import type { Scenario, ScenarioContext } from '../scenario.ts';
import type { LoadRuntime } from '../workloads/snippets.ts';

const counts = [1, 10, 50, 100, 250, 500, 1000, 2000];
const quickCounts = [1, 10, 50];

/** Parked sandboxes in zones without HTTP and queue, each of which is then given its one job and has to answer. */
export const density: Scenario = {
  name: 'density',
  description: '1 to 2,000 sandboxes alive at once: memory of each, and whether each answers',
  needsMachine: true,
  async run(context) {
    for (const runtime of context.settings.runtimes) {
      context.findings.density.push(await measureDensity(runtime, context));
    }
  },
};

async function measureDensity(runtime: LoadRuntime, context: ScenarioContext): Promise<Density> {
  const { settings, progress, findings, signal, nativeDir } = context;
  const all = settings.isQuick ? quickCounts : counts;
  const max = settings.concurrency ?? (all.at(-1) as number);
  const steps = [...all.filter((count) => count < max), max];
  const { storeDir } = loadConfig();
  const directory = await mkdtemp(join(tmpdir(), 'oncebox-density-'));
  try {
    const layersDir = join(storeDir, 'layers');
    const launcher = await startLauncher({ buildDir: join(nativeDir, 'build'), layersDir, directory });
    try {
      const population = await ParkedPopulation.open({
        runtime,
        storeDir,
        launcherSocket: launcher.socket,
        onNote: (text) => findings.notes.push(`density ${runtime}: ${text}`),
        signal,
      });
      const points: Density['points'] = [];
      for (const alive of steps) {
        progress.detail(`${runtime}, ${alive} alive`);
        const point = await densityPoint(population, alive, launcher.instance);
        points.push(point);
        if (point.answering < alive) break;
      }
      await population.close();
      return {
        workload: runtime,
        points,
        slopeBytes: slopeOf(points.map(({ alive, unavailableBytes }) => [alive, unavailableBytes])),
      } as Density;
    } finally {
      await launcher.stop();
    }
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}
