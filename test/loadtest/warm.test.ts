import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { reportSchema, type Series } from '../../loadtest/report/schema.ts';
import { storeDir } from '../support/zones.ts';

const main = join(import.meta.dirname, '../../loadtest/start.mjs');
let directory: string;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'loadtest-warm-'));
  // The services' user has to get through.
  await chmod(directory, 0o755);
});
afterAll(() => rm(directory, { recursive: true }));

async function loadtest(...argv: string[]) {
  const child = spawn(process.execPath, [main, ...argv], {
    env: { ...process.env, ONCEBOX_STORE_DIR: storeDir, TMPDIR: directory },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const output: Record<'stdout' | 'stderr', string> = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) child[name].on('data', (data) => (output[name] += data));
  const exited = once(child, 'close') as Promise<[number | null]>;
  return { child, output, exited };
}

/** The loader's cache is no residue. */
const leftIn = async (path: string) => (await readdir(path)).filter((name) => !name.startsWith('tsx-'));

test('a quick run against a platform of its own measures, reports, and leaves only the reports', async () => {
  const out = join(directory, 'results');
  const argv = ['warm', '--quick', '--no-controls', '--runtime', 'node', '--seed', '7', '--out', out];
  const { output, exited } = await loadtest(...argv);
  const [exitCode] = await exited;
  expect(output.stderr).not.toMatch(/given up|Error/);
  expect(exitCode).toBe(0);
  expect(await leftIn(directory)).toEqual(['results']);

  const files = await readdir(out);
  const file = files.find((name) => name.endsWith('.json')) as string;
  expect(files).toHaveLength(2);
  const report = reportSchema.parse(JSON.parse(await readFile(join(out, file), 'utf8')));
  expect(report).toMatchObject({ scenarios: ['warm'], seed: 7, controls: [] });
  expect(report.machine.client).toBe('local');
  expect(report.floors.map(({ name }) => name)).toEqual(
    expect.arrayContaining(['clone + wait', 'sandbox node', 'BullMQ round trip']),
  );

  const named = (name: string, concurrency = 1) =>
    report.series.find((one) => one.name === name && one.concurrency === concurrency) as Series;
  for (const name of ['warm node', 'warm function node', 'warm function node, 500 ms of imports']) {
    const { requests, failures, latencyMs, starts, phaseMs } = named(name);
    expect(failures).toBe(0);
    expect(requests).toBeGreaterThan(0);
    expect(latencyMs).toMatchObject({ count: requests });
    expect(Object.values(starts).reduce((sum, count) => sum + count, 0)).toBe(requests);
    // The platform's own account of a call is less than what the caller saw.
    expect(phaseMs.runMs?.p50).toBeLessThan(latencyMs.max);
  }
  // A caller who pauses finds the pool full, where the machine does nothing else.
  expect(named('warm node').starts.warm).toBeGreaterThan(0);
  expect(named('warm node, without pauses', 32).requests).toBeGreaterThanOrEqual(32);
  for (const ratio of report.ratios) expect(ratio.value).toBeGreaterThan(0);
  expect(report.ratios.map(({ name }) => name)).toContain("node, warm: p50 to the queue's");
  expect(output.stdout).toContain(file);
}, 900_000);

test('an interrupted run ends what it has started', async () => {
  const { child, output, exited } = await loadtest('soak', '--no-controls', '--quick');
  let isAsked = false;
  child.stderr.on('data', () => {
    // Once: a second time ends it at once, and leaves what there is.
    if (isAsked || !output.stderr.includes('soak:')) return;
    isAsked = true;
    child.kill('SIGINT');
  });
  expect(await exited).toEqual([130, null]);
  expect(await leftIn(directory)).toEqual(['results']);
  const leftOver = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const environments = await Promise.all(
    leftOver.map((pid) => readFile(`/proc/${pid}/environ`, 'utf8').catch(() => '')),
  );
  expect(environments.filter((text) => text.includes(`${directory}/oncebox-loadtest`))).toEqual([]);
}, 900_000);
