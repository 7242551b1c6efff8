import { execFile } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { expect, onTestFinished, test } from 'vitest';
import { startLauncher } from '../../loadtest/floors/bench-launcher.ts';
import { measureFloors } from '../../loadtest/floors/measure.ts';
import { measureSandboxes } from '../../loadtest/floors/sandbox-floor.ts';
import { rateWithin, serialLatency } from '../../loadtest/floors/timing.ts';
import { openStore } from '../../runtime/image/store.ts';
import { defaultSearchPath } from '../../runtime/interpreters/program-job.ts';
import { scratchSpec } from '../../runtime/sandbox/sandbox.ts';
import { openZone } from '../../runtime/zygote/zone.ts';
import { loadConfig } from '../../services/shared/config.ts';
import { createUndoStack } from '../../services/shared/shutdown.ts';
import { descendants, onceboxCgroups } from '../support/host.ts';
import { patientLimits } from '../support/limits.ts';
import { storeDir } from '../support/zones.ts';

function useDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'oncebox-test-floors-'));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  chmodSync(directory, 0o755);
  return directory;
}

/** What the floors could leave: processes of ours, and cgroups of the launcher that they start. */
async function takeTraces() {
  const cgroups = await onceboxCgroups();
  return {
    processes: await descendants(process.pid),
    cgroups: cgroups.filter((path) => path.includes(`bench-${process.pid}`)),
  };
}

const optionsIn = (directory: string) => ({
  nativeDir: resolve(import.meta.dirname, '../../runtime/native'),
  storeDir,
  directory,
  config: loadConfig({ ONCEBOX_DATA_DIR: directory, ONCEBOX_STORE_DIR: storeDir }),
  quick: true,
});

test('the floors are measured, from clone to queue, and nothing of them is left', async () => {
  const directory = useDirectory();
  const before = await takeTraces();
  const progress: string[] = [];
  const floors = await measureFloors({
    ...optionsIn(directory),
    onProgress: (name) => progress.push(name),
  });
  const names = ['clone + wait', 'sandbox node', 'sandbox python', 'BullMQ round trip'];
  expect(floors.map(({ name }) => name)).toEqual(names);
  expect(progress).toEqual(names);
  for (const { latencyMs, ratePerSecond } of floors) {
    expect(latencyMs.count).toBeGreaterThanOrEqual(50);
    expect(latencyMs.min).toBeGreaterThan(0);
    // Milliseconds, and not micro.
    expect(latencyMs.max).toBeLessThan(600_000);
    expect(ratePerSecond ?? 1).toBeGreaterThan(0);
  }
  expect(floors.map(({ concurrency }) => concurrency)).toEqual([undefined, 8, 8, 16]);
  // Clone is below a sandbox whatever the machine does beside either.
  expect(floors[0]?.latencyMs.min).toBeLessThan(floors[1]?.latencyMs.min ?? 0);
  expect(await takeTraces()).toEqual(before);
});

test('what is built without seccomp loads no filter; the platform as it is has two on every program', async () => {
  const directory = useDirectory();
  const { nativeDir } = optionsIn(directory);
  await promisify(execFile)('make', ['-s', '-C', nativeDir, 'unfiltered']);
  const { layersDir, resolve: find } = openStore(storeDir);
  const { layers } = await find('python');
  const seen = [];
  for (const build of ['build', 'build-unfiltered']) {
    const buildDir = join(nativeDir, build);
    const launcher = await startLauncher({ buildDir, layersDir, directory });
    onTestFinished(() => launcher.stop());
    const zone = await openZone({
      launcherSocket: launcher.socket,
      interpreter: 'python',
      layers,
      searchPath: defaultSearchPath,
      isTrusted: true,
    });
    const sandbox = await zone.create(scratchSpec(layers));
    const content = 'print(*[line for line in open("/proc/self/status") if line.startswith("Seccomp")])';
    const files = [{ path: 'main.py', content, encoding: 'utf8' as const }];
    const program = { kind: 'snippet' as const, files, entry: 'main.py', env: {}, args: [] };
    const report = await sandbox.run({ program, limits: patientLimits(), stdin: new Uint8Array() });
    seen.push(Buffer.from(report.stdout).toString().replace(/\s+/g, ' '));
    await zone.close();
  }
  expect(seen).toEqual(['Seccomp: 2 Seccomp_filters: 2 ', 'Seccomp: 0 Seccomp_filters: 0 ']);
});

test('sandboxes without seccomp are measured beside those that have it', async () => {
  const floors = await measureSandboxes({
    ...optionsIn(useDirectory()),
    ...{ serialCount: 5, rateCount: 5, withUnfiltered: true },
    onProgress() {},
    signal: new AbortController().signal,
  });
  expect(floors.map(({ name }) => name)).toEqual([
    'sandbox node',
    'sandbox node, no seccomp',
    'sandbox python',
    'sandbox python, no seccomp',
  ]);
  for (const { latencyMs } of floors) expect(latencyMs.count).toBe(5);
});

test('an interrupt ends the measurement of the floors, and nothing of them is left', async () => {
  const directory = useDirectory();
  const before = await takeTraces();
  const undo = createUndoStack();
  const measuring = measureFloors({
    ...optionsIn(directory),
    onProgress: (name) => name === 'sandbox python' && void undo.run(),
    undo,
  });
  await expect(measuring).rejects.toThrow('interrupted');
  expect(await takeTraces()).toEqual(before);
});

test('serial work is never under way twice', async () => {
  let underWay = 0;
  const samples = await serialLatency(5, async () => {
    expect(++underWay).toBe(1);
    await new Promise(setImmediate);
    underWay--;
  });
  expect(samples).toHaveLength(5);
});

test('a rate keeps as many under way as it is told, and stops at its count', async () => {
  let [underWay, most, count] = [0, 0, 0];
  const rate = await rateWithin({ inFlight: 4, maxCount: 21, maxMs: 60_000 }, async () => {
    most = Math.max(most, ++underWay);
    count++;
    await new Promise(setImmediate);
    underWay--;
  });
  expect([most, count]).toEqual([4, 21]);
  expect(rate).toBeGreaterThan(0);
});

test('a rate stops when its time is over', async () => {
  let count = 0;
  await rateWithin({ inFlight: 2, maxCount: 1e9, maxMs: 20 }, async () => {
    count++;
    await new Promise(setImmediate);
  });
  expect(count).toBeLessThan(1e9);
});

test('a rate rejects when some work fails, once the rest has settled, and starts no more', async () => {
  let [underWay, count] = [0, 0];
  const rate = rateWithin({ inFlight: 3, maxCount: 1000, maxMs: 60_000 }, async () => {
    const number = ++count;
    underWay++;
    await new Promise(setImmediate);
    underWay--;
    if (number === 5) throw new Error('the fifth');
  });
  await expect(rate).rejects.toThrow('the fifth');
  expect(underWay).toBe(0);
  expect(count).toBeLessThan(10);
});
