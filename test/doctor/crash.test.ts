import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readdir, readFile, rm, rmdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, expect, onTestFinished, test, vi } from 'vitest';
import { createClient } from '../../sdk/client.ts';
import { auditNode, type NodeAudit } from '../../services/doctor/leaks/audit-node.ts';
import { cgroupRoots } from '../../services/doctor/leaks/cgroups.ts';
import { HostProcesses } from '../../services/doctor/leaks/host-processes.ts';
import type { Config } from '../../services/shared/config.ts';
import { type Platform, startPlatform } from '../../services/up/platform.ts';
import { leftovers, ownStoreConfig, pathsOf, testConfig } from '../support/platform.ts';

const patience = { timeout: 90_000, interval: 50 };
/** What others on this machine leave for a while has gone by then; where there is nothing, nothing is waited for. */
const settleMs = 60_000;
const log = { step: () => {}, event: () => {}, line: () => {} };
const script = new URL('../../build/up.mjs', import.meta.url).pathname;
let neighbour: Platform;
let config: Config;
/** Others may work on this machine. */
let known: NodeAudit;

beforeAll(async () => {
  neighbour = await startPlatform(await testConfig(), { log });
  config = await ownStoreConfig();
  known = await auditNode({ instance: config.instance, settleMs: 0 });
});

afterAll(async () => {
  await neighbour?.close();
  await rm(neighbour.config.ONCEBOX_DATA_DIR, { recursive: true });
  await rm(config.ONCEBOX_DATA_DIR, { recursive: true });
});

/** False where it is gone. */
function stopped(pid: number): boolean {
  try {
    return process.kill(pid, 'SIGSTOP');
  } catch {
    return false;
  }
}

/** A zombie is not: who reaps orphans here is not ours, and takes its time. */
function isAlive(now: HostProcesses['all']) {
  return ({ pid, startedAt }: { pid: number; startedAt: string }) => {
    const found = now.get(pid);
    return found?.startedAt === startedAt && found.state !== 'Z';
  };
}

test.each([
  ['supervisor', 'launcher', 'worker'],
  ['launcher', 'worker', 'supervisor'],
  ['worker', 'supervisor', 'launcher'],
] as const)(
  'after %s, %s and %s were killed with runs under way, a new start leaves nothing of them, and the neighbour alone',
  async (...order) => {
    const neighbourPids = neighbour.pids();
    const longRun = run(neighbour.url, 'sleep 4; echo undisturbed');
    const doomed = await startDoomed();
    const before = [...new HostProcesses().all.values()]
      .filter(isOfInstance)
      .map(({ pid, startedAt }) => ({ pid, startedAt }));
    expect(before.length, 'what is looked for can be found').toBeGreaterThan(8);
    for (const part of order) process.kill(doomed.pids[part], 'SIGKILL');
    await doomed.exited;

    const platform = await startPlatform(config, { log });
    onTestFinished(() => platform.close());
    const now = new HostProcesses().all;
    expect(before.filter(isAlive(now))).toEqual([]);
    const audit = await auditNode({ instance: config.instance, url: platform.url, known, settleMs });
    expect(audit.looked.compared).toContain(config.instance);
    expect(audit.leaks).toEqual([]);
    expect((await run(platform.url, 'echo again')).stdout).toBe('again\n');
    await platform.close();
    expect(await leftovers(config)).toEqual({ processes: [], cgroups: [] });

    expect((await longRun).stdout).toBe('undisturbed\n');
    expect(neighbour.pids()).toEqual(neighbourPids);
    const { instance } = neighbour.config;
    expect((await auditNode({ instance, url: neighbour.url, known, settleMs })).leaks).toEqual([]);
  },
  400_000,
);

test('services, agents and zygotes that hang and have lost their supervisor are ended by the next', async () => {
  const doomed = await startDoomed();
  const host = new HostProcesses();
  const found = [...host.all.values()].filter(
    ({ parent, cgroup }) => parent === doomed.pids.supervisor || cgroup?.instance === config.instance,
  );
  // Some have ended since: what sandboxes are made by does.
  const hanging = found.filter(({ pid }) => stopped(pid));
  const names = hanging.map(({ args }) => args.join(' ')).join('\n');
  expect(hanging.filter(({ cgroup }) => cgroup?.leaf === 'agent').length).toBeGreaterThan(3);
  for (const part of ['redis', 'launcher', 'worker', 'gateway']) expect(names).toContain(part);
  process.kill(doomed.pids.supervisor, 'SIGKILL');
  await doomed.exited;
  const audit = await auditNode({ instance: config.instance, settleMs: 500 });
  expect(audit.leaks.map(({ kind }) => kind)).toContain('orphan launcher');
  expect(audit.leaks.map(({ kind }) => kind)).toContain('orphan service');

  const platform = await startPlatform(config, { log });
  onTestFinished(() => platform.close());
  const now = new HostProcesses().all;
  expect(hanging.filter(isAlive(now))).toEqual([]);
  const { leaks } = await auditNode({ instance: config.instance, url: platform.url, known, settleMs });
  expect(leaks).toEqual([]);
  await platform.close();
}, 400_000);

test("what a start sweeps is the predecessor's: an operator's cgroups, processes and files stay", async () => {
  const doomed = await startDoomed();
  for (const pid of Object.values(doomed.pids)) process.kill(pid, 'SIGKILL');
  await doomed.exited;
  const dead = `${doomed.pids.worker}`;
  const swept = [
    join(config.redisDir, `temp-${dead}.rdb`),
    join(config.storeDir, 'scratch', `${dead}-0000`),
    join(config.storeDir, 'layer-info', `x.${dead}-0000.tmp`),
  ];
  const unpacking = join(config.storeDir, 'layers', `.unpacking-${'a'.repeat(32)}`);
  const kept = [
    ...['', 'run', 'redis'].map((name) => join(config.ONCEBOX_DATA_DIR, name, 'operator.txt')),
    ...['', 'layers', 'layer-info', 'scratch', 'oci'].map((name) =>
      join(config.storeDir, name, 'operator.tmp'),
    ),
  ];
  for (const path of [...swept, ...kept]) await writeFile(path, '');
  await mkdir(unpacking);
  const pids = cgroupRoots().find((path) => path.endsWith('/pids')) ?? (cgroupRoots()[0] as string);
  const cgroups = ['oncebox-operator', 'oncebox/operator'].map((name) => join(pids, name));
  const sleeper = spawn('sleep', ['3600'], { stdio: 'ignore' });
  for (const path of cgroups) await mkdir(path, { recursive: true });
  onTestFinished(async () => {
    sleeper.kill('SIGKILL');
    await once(sleeper, 'exit');
    for (const path of cgroups) await vi.waitFor(() => rmdir(path), patience);
    await rmdir(join(pids, 'oncebox')).catch(() => {}); // others may be there
    for (const path of kept) await rm(path, { force: true });
  });
  await writeFile(join(cgroups[1] as string, 'cgroup.procs'), `${sleeper.pid}`);

  const platform = await startPlatform(config, { log });
  onTestFinished(() => platform.close());
  const there = async (path: string) =>
    readFile(path).then(
      () => true,
      () => false,
    );
  await vi.waitFor(async () => {
    expect(await readdir(join(config.storeDir, 'layers'))).not.toContain(`.unpacking-${'a'.repeat(32)}`);
    expect(await Promise.all(swept.map(there))).toEqual(swept.map(() => false));
  }, patience);
  expect(await Promise.all(kept.map(there))).toEqual(kept.map(() => true));
  for (const path of cgroups) await readdir(path);
  expect(sleeper.exitCode).toBe(null);
  expect(sleeper.signalCode).toBe(null);
  await platform.close();
}, 400_000);

/** A platform in a process of its own, with runs under way that would take long, and that leave what they can. */
async function startDoomed() {
  const up = spawn(process.execPath, [script], {
    env: {
      PATH: process.env.PATH,
      ONCEBOX_PORT: '0',
      ONCEBOX_POOL_NODE: '2',
      ONCEBOX_POOL_PYTHON: '1',
      ...pathsOf(config),
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exited = once(up, 'exit');
  onTestFinished(() => void up.kill('SIGKILL'));
  const url = await urlOf(up);
  for (const code of ['(setsid sleep 600 &); (trap "" TERM; sleep 600)', 'while true; do sleep 0.1; done'])
    run(url, code).catch(() => {});
  // A run of an OCI runtime has processes of its own around it.
  createClient(url)
    .run({ runtime: 'bash', code: 'sleep 600', isolation: 'runc', limits: { wallMs: 600_000 } })
    .catch(() => {});
  await vi.waitFor(async () => {
    const { sandboxes } = await createClient(url).sandboxes();
    expect(sandboxes.filter(({ state }) => state === 'running').length).toBe(3);
  }, patience);
  const launcher = [...new HostProcesses().launchers.values()].find(
    ({ instance }) => instance === config.instance,
  );
  const [worker] = await createClient(url).nodes();
  if (!up.pid || !launcher || !worker) throw new Error('a part of the platform cannot be found');
  return {
    url,
    exited,
    pids: { supervisor: up.pid, launcher: launcher.pid, worker: worker.pid },
  };
}

async function urlOf(up: ChildProcess): Promise<string> {
  for await (const line of createInterface({ input: up.stdout as NodeJS.ReadableStream })) {
    const url = /Ready on (\S+)/.exec(line)?.[1];
    if (url) return url;
  }
  throw new Error('the platform did not start');
}

const run = (url: string, code: string) =>
  createClient(url).run({ runtime: 'bash', code, limits: { wallMs: 600_000, cpuMs: 600_000 } });

const isOfInstance = ({ args, cgroup }: { args: string[]; cgroup: { instance: string } | undefined }) =>
  cgroup?.instance === config.instance ||
  args.some((word) => word.includes(config.runDir) || word === config.instance);
