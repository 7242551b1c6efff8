import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { access, mkdir, mkdtemp, readFile, rm, rmdir, utimes, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, onTestFinished, test, vi } from 'vitest';
import { sandboxIdBase, serviceId } from '../../runtime/image/ids.ts';
import { createClient } from '../../sdk/client.ts';
import { type AuditOptions, auditNode, type Leak } from '../../services/doctor/leaks/audit-node.ts';
import { cgroupRoots } from '../../services/doctor/leaks/cgroups.ts';
import type { Config } from '../../services/shared/config.ts';
import { type Platform, startPlatform } from '../../services/up/platform.ts';
import { ownStoreConfig } from '../support/platform.ts';

const sleeper = ['setpriv', '--pdeathsig', 'KILL'];
const patience = { timeout: 90_000, interval: 50 };
/** Long enough for what others on this machine leave for a while; where there is nothing, nothing is waited for. */
const longMs = 60_000;
let config: Config;
let platform: Platform;
let scope: AuditOptions;

beforeAll(async () => {
  config = await ownStoreConfig();
  platform = await startPlatform(config, { log: { step: () => {}, event: () => {}, line: () => {} } });
  scope = {
    instance: config.instance,
    url: platform.url,
    // Others may work on this machine.
    known: await auditNode({ instance: config.instance, settleMs: 0 }),
  };
});

afterAll(async () => {
  await platform?.close();
  await rm(config.ONCEBOX_DATA_DIR, { recursive: true });
});

test('a platform at rest has nothing left over, and was looked at', async () => {
  const { leaks, looked, unseen } = await auditNode({ ...scope, settleMs: longMs });
  expect(leaks).toEqual([]);
  expect(unseen).toEqual([]);
  expect(looked.compared).toEqual([config.instance]);
  expect(looked.dataDirs).toContain(config.ONCEBOX_DATA_DIR);
  expect(looked.storeDirs).toContain(config.storeDir);
});

test('in the middle of load nothing is taken for left over', async () => {
  let isOver = false;
  const codes = [
    ['bash', '(sleep 100 &); echo 1'],
    ['node', 'console.log(1)'],
    ['python', 'import time; time.sleep(0.1)'],
  ] as const;
  let [ran, ended] = [0, 0];
  const caller = async (at: number) => {
    while (!isOver) {
      const [runtime, code] = codes[(at + ran++) % codes.length] as (typeof codes)[number];
      await fetch(`${platform.url}/v1/run`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ runtime, code }),
      }).then((response) => response.json());
      ended += 1;
    }
  };
  const calling = Promise.all(Array.from({ length: 6 }, (_, at) => caller(at)));
  calling.catch(() => {
    isOver = true;
  });
  try {
    for (let audits = 0; !isOver && (audits < 5 || ended < 12); audits++)
      expect((await auditNode({ ...scope, settleMs: longMs })).leaks).toEqual([]);
    // Nor for as long as the doctor looks, but for what a busy machine leaves standing now and then.
    let found: Leak[] | undefined;
    for (let audits = 0; !isOver && audits < 10 && found?.length !== 0; audits++)
      found = (await auditNode(scope)).leaks;
    if (!isOver) expect(found).toEqual([]);
  } finally {
    isOver = true;
    await calling;
  }
});

test('a process under an id of sandboxes is found', async () => {
  const pid = await plantProcess('--reuid', `${sandboxIdBase + 70_000}`, '--clear-groups');
  await untilLeaks([expect.objectContaining({ kind: 'stray process', pid })]);
});

test('a service is one of ours with a parent, and found when its supervisor is gone', async () => {
  const id = `${serviceId}`;
  await plantProcess('--reuid', id, '--regid', id, '--clear-groups');
  expect((await auditNode({ ...scope, settleMs: longMs })).leaks, 'with a parent').toEqual([]);
  const script = `setpriv --reuid ${id} --regid ${id} --clear-groups sleep 3600 & echo $!`;
  const shell = spawn('sh', ['-c', script], { stdio: ['ignore', 'pipe', 'ignore'] });
  const pid = Number(String((await once(shell.stdout, 'data'))[0]));
  onTestFinished(() => void process.kill(pid, 'SIGKILL'));
  await untilLeaks([expect.objectContaining({ kind: 'orphan service', pid })]);
});

test('a process in a cgroup of ours that descends from no launcher is found', async () => {
  const pid = await plantProcess();
  const zone = await someZone();
  await writeFile(join(zone, 'agent/cgroup.procs'), `${pid}`);
  await untilLeaks([expect.objectContaining({ kind: 'orphan agent', pid, instance: config.instance })]);
});

test('cgroups of an instance, of a zone and of a sandbox that are gone are found', async () => {
  const zone = await someZone();
  const ours = zone.replace(/\/[^/]*$/, '');
  await plantDirectory(join(zone, 's999999999'));
  await plantDirectory(join(ours, 'zone99'));
  await untilLeaks([
    expect.objectContaining({ kind: 'empty sandbox cgroup', path: join(zone, 's999999999') }),
    expect.objectContaining({ kind: 'cgroup of no zone', path: join(ours, 'zone99') }),
  ]);
  const other = join(ours, '../planted');
  await plantDirectory(other);
  await untilLeaks(
    [expect.objectContaining({ kind: 'cgroup of no instance', path: other, instance: 'planted' })],
    { instance: 'planted' },
  );
});

test('a sandbox that the kernel has and its worker does not know is found, and the reverse', async () => {
  const leaf = join(await someZone(), 's999999998');
  await mkdir(leaf);
  onTestFinished(() => rmdir(leaf).catch(() => {}));
  const pid = await plantProcess();
  await writeFile(join(leaf, 'cgroup.procs'), `${pid}`);
  await untilLeaks([
    expect.objectContaining({ kind: 'stray process' }),
    expect.objectContaining({ kind: 'sandbox unknown to its worker' }),
  ]);

  // A platform that lists one more than it has.
  const { nodes, sandboxes } = createClient(platform.url);
  const liar = createServer(async (request, response) => {
    const list = await sandboxes();
    const [one] = list.sandboxes;
    const more = { ...list, sandboxes: [...list.sandboxes, { ...one, id: 'ffff-zzzzz' }] };
    const body = request.url === '/v1/nodes' ? { nodes: await nodes() } : more;
    response.setHeader('content-type', 'application/json').end(JSON.stringify(body));
  }).listen(0, '127.0.0.1');
  onTestFinished(() => void liar.close());
  await once(liar, 'listening');
  process.kill(pid, 'SIGKILL');
  await vi.waitFor(() => rmdir(leaf), patience);
  const { port } = liar.address() as AddressInfo;
  const missing = `s${Number.parseInt('zzzzz', 36)}`;
  await untilLeaks(
    [
      expect.objectContaining({
        kind: 'sandbox unknown to the kernel',
        what: expect.stringContaining(missing),
      }),
    ],
    { url: `http://127.0.0.1:${port}` },
  );
});

test('a mount of the layers that somebody else holds is found', async () => {
  const place = join(config.ONCEBOX_DATA_DIR, 'place');
  await mkdir(place);
  const script = `mount --bind ${config.storeDir}/layers ${place} && echo mounted && exec sleep 3600`;
  const child = spawn('unshare', ['--mount', '--propagation', 'private', 'sh', '-c', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  onTestFinished(() => end(child.pid));
  await once(child.stdout, 'data');
  await untilLeaks([expect.objectContaining({ kind: 'mount', pid: child.pid, path: place })]);
});

test('half-done files and a socket on which nobody listens are found', async () => {
  const dead = spawn('true');
  await once(dead, 'exit');
  const planted = [
    join(config.storeDir, 'layers', `.unpacking-${'0'.repeat(32)}`),
    join(config.storeDir, 'scratch', `${dead.pid}-0000`),
    join(config.storeDir, 'layer-info', `x.${dead.pid}-0000.tmp`),
    join(config.redisDir, `temp-${dead.pid}.rdb`),
  ];
  // What a living process makes is nobody's business.
  const kept = join(config.storeDir, 'scratch', `${process.pid}-0000`);
  for (const path of [...planted, kept]) await plantDirectory(path);
  const socket = join(config.runDir, 'left.sock');
  await leaveSocket(socket);
  const paths = async () => (await auditNode(scope)).leaks.map(({ path }) => path);
  await vi.waitFor(
    async () => expect(new Set(await paths())).toEqual(new Set([...planted, socket])),
    patience,
  );
});

test('the directory of a platform of its own that was killed is found, once it is not young', async () => {
  const left = await mkdtemp(join(tmpdir(), 'oncebox-loadtest-'));
  onTestFinished(() => rmdir(left));
  const isFound = async () => (await auditNode({ settleMs: 0 })).leaks.some(({ path }) => path === left);
  expect(await isFound()).toBe(false);
  await utimes(left, 0, 0);
  expect(await isFound()).toBe(true);
});

/** All that is found is this, once what is being made or taken away besides is there or gone. */
async function untilLeaks(expected: unknown[], more: Partial<AuditOptions> = {}): Promise<void> {
  await vi.waitFor(
    async () => expect((await auditNode({ ...scope, ...more })).leaks).toEqual(expected),
    patience,
  );
}

async function plantProcess(...identity: string[]): Promise<number> {
  const child = spawn(sleeper[0] as string, [...sleeper.slice(1), ...identity, 'sleep', '3600'], {
    stdio: 'ignore',
  });
  onTestFinished(() => end(child.pid));
  // By then it is who it is to be.
  await vi.waitFor(
    async () => expect(await readFile(`/proc/${child.pid}/comm`, 'utf8')).toBe('sleep\n'),
    patience,
  );
  return child.pid as number;
}

async function plantDirectory(path: string): Promise<void> {
  await mkdir(path);
  onTestFinished(() => rmdir(path).catch(() => {}));
}

function end(pid: number | undefined): void {
  try {
    if (pid !== undefined) process.kill(pid, 'SIGKILL');
  } catch {
    // The test has ended it.
  }
}

/** A zone's cgroup, in the hierarchy that counts processes. */
async function someZone(): Promise<string> {
  for (const mount of cgroupRoots()) {
    const zone = join(mount, 'oncebox', config.instance, 'zone1');
    if (
      await access(join(zone, 'pids.max')).then(
        () => true,
        () => false,
      )
    )
      return zone;
  }
  throw new Error('no zone has a cgroup');
}

/** Node removes the sockets that it closes, and a killed process does not. */
async function leaveSocket(path: string): Promise<void> {
  const script = `require('net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`;
  await once(spawn(process.execPath, ['-e', script]), 'exit');
  onTestFinished(() => rm(path));
}
