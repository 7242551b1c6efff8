import { setImmediate as nextTurn } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { openSandboxSource, type ZoneRequest } from '../../runtime/pool/sandbox-source.ts';
import { SandboxLostError, type SandboxSpec, scratchSpec } from '../../runtime/sandbox/sandbox.ts';
import type { RuntimeName } from '../../sdk/contract/runtime-name.ts';
import { FakeZone } from './fake-sandbox.ts';

const base = { digest: 'sha256:base', layers: ['base'], searchPath: '/bin' };
const foreign = { digest: 'sha256:foreign', layers: ['top', 'ground'], searchPath: '/opt/bin' };

/** Nothing is idle for too long before a test says so. */
beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
});
afterEach(() => {
  vi.useRealTimers();
});

async function useSource(boot: (request: ZoneRequest) => Promise<FakeZone> = async () => new FakeZone()) {
  const requests: ZoneRequest[] = [];
  const zones: FakeZone[] = [];
  const errors: string[] = [];
  const source = await openSandboxSource({
    openZone: async (request) => {
      requests.push(request);
      // The three of the runtimes always come.
      const zone = requests.length <= 3 ? new FakeZone() : await boot(request);
      zones.push(zone);
      return zone;
    },
    images: { node: base, python: base, bash: base },
    targets: { node: 0, python: 0, bash: 0 },
    functionTarget: 1,
    functionIdleMs: 1000,
    onError: (_, what) => errors.push(what),
  });
  await nextTurn();
  return { source, requests, zones, errors };
}

const on = (
  runtime: RuntimeName | undefined,
  image = foreign,
  spec: SandboxSpec = scratchSpec(image.layers),
) => ({
  runtime,
  image,
  spec,
});
const command = {
  layers: foreign.layers,
  user: { uid: 0, gid: 0, groups: [] },
  workingDir: '/',
  scratch: false,
};

test('an image with an interpreter of its own gets a zone of its own, once', async () => {
  const { source, requests, zones } = await useSource();
  const lease = await source.lease(on('node'));
  expect(lease.start).toBe('cold');
  expect(lease.sandbox.layers).toEqual(foreign.layers);
  expect(requests[3]).toMatchObject({ interpreter: 'node', layers: foreign.layers, searchPath: '/opt/bin' });
  expect(requests[3]).not.toHaveProperty('isTrusted');
  await nextTurn();
  expect((await source.lease(on('node'))).start).toBe('warm');
  expect((await source.lease(on('python'))).start).toBe('cold');
  expect(zones).toHaveLength(5);
});

test("an image on top of a base image runs on the trusted zygote, and so does an image's command", async () => {
  const { source, zones } = await useSource();
  const derived = { ...foreign, layers: ['mine', 'base'] };
  const { sandbox, start } = await source.lease(on('node', derived));
  expect([sandbox.layers, start]).toEqual([['mine', 'base'], 'fork']);
  expect((await source.lease(on(undefined, foreign, command))).sandbox.layers).toEqual(foreign.layers);
  expect((await source.lease(on('bash'))).sandbox.layers).toEqual(foreign.layers);
  expect(zones).toHaveLength(3);
});

test('a base layer anywhere but at the bottom does not make an image trusted', async () => {
  const { source, zones } = await useSource();
  await source.lease(on('node', { ...foreign, layers: ['base', 'mine'] }));
  expect(zones).toHaveLength(4);
});

test('sandboxes of different specs are not exchanged', async () => {
  const { source } = await useSource();
  await source.lease(on(undefined, foreign, command));
  await nextTurn();
  const others: SandboxSpec[] = [
    { ...command, user: { uid: 1, gid: 0, groups: [] } },
    { ...command, user: { uid: 0, gid: 0, groups: [5] } },
    { ...command, workingDir: '/srv' },
    { ...command, scratch: true },
    { ...command, layers: ['code', ...foreign.layers] },
  ];
  for (const spec of others) expect((await source.lease(on(undefined, foreign, spec))).start).toBe('fork');
  const twin = { ...foreign, digest: 'sha256:twin' };
  expect((await source.lease(on(undefined, twin, command))).start, 'of another image').toBe('fork');
  expect((await source.lease(on(undefined, foreign, command))).start).toBe('warm');
});

test('an interpreter that does not boot is refused with its name and the reason, and not tried at once again', async () => {
  vi.useFakeTimers({ toFake: ['performance'] });
  const { source, requests, errors } = await useSource(async () => {
    throw new SandboxLostError('no such file');
  });
  const reason = /cannot start "python3" of image sha256:foreign: no such file/;
  for (let attempt = 0; attempt < 3; attempt++)
    await expect(source.lease(on('python'))).rejects.toThrow(reason);
  expect(requests).toHaveLength(4);
  vi.advanceTimersByTime(1000);
  await expect(source.lease(on('python'))).rejects.toThrow(reason);
  vi.advanceTimersByTime(1500);
  await expect(source.lease(on('python')), 'the back-off grows').rejects.toThrow(reason);
  expect(requests).toHaveLength(5);
  expect(errors).toEqual(['python sha256:foreign', 'python sha256:foreign']);
  expect((await source.lease(on('node', base))).start, 'others are served').toBe('fork');
});

test('a zone of an image that goes by itself is opened again by the next lease after its back-off', async () => {
  vi.useFakeTimers({ toFake: ['performance'] });
  const { source, zones } = await useSource();
  const { sandbox } = await source.lease(on('node'));
  zones[3]?.crash();
  await sandbox.dead;
  await nextTurn();
  await expect(source.lease(on('node'))).rejects.toThrow('went by itself');
  vi.advanceTimersByTime(1000);
  expect((await source.lease(on('node'))).start).toBe('cold');
});

test('a zone of an image is closed once nobody uses it, and not while a sandbox runs', async () => {
  const { source, zones } = await useSource();
  const { sandbox } = await source.lease(on('node'));
  await nextTurn();
  vi.advanceTimersByTime(1000);
  expect(source.sandboxesOn(foreign.digest), 'one leased, one spare').toBe(2);
  await sandbox.kill();
  await nextTurn();
  vi.advanceTimersByTime(1000);
  await zones[3]?.closed;
  expect(source.sandboxesOn(foreign.digest)).toBe(0);
});

test('of many zones the one that was idle longest makes room, and none that is in use', async () => {
  const { source, zones } = await useSource();
  const leases = [];
  for (let n = 0; n < 16; n++)
    leases.push(await source.lease(on('node', { ...foreign, digest: `sha256:${n}` })));
  const another = on('node', { ...foreign, digest: 'sha256:another' });
  await expect(source.lease(another)).rejects.toThrow('16 images');
  await leases[5]?.sandbox.kill();
  await leases[2]?.sandbox.kill();
  await nextTurn();
  await source.lease(another);
  await zones[3 + 2]?.closed;
  expect(leases[3]?.sandbox.state).toBe('created');
  expect(source.sandboxesOn('sha256:5'), 'used later').toBeGreaterThan(0);
});

test('of many specs the pool that was leased from longest ago is closed, and none that is in use', async () => {
  const { source } = await useSource();
  const specOf = (n: number) => ({ ...command, workingDir: `/${n}` });
  const lease = async (n: number) => (await source.lease(on(undefined, foreign, specOf(n)))).sandbox;
  const kept = await lease(0);
  for (const n of [1, 2]) await (await lease(n)).kill();
  await (await lease(1)).kill();
  await nextTurn();
  // One pool is the runtime's own.
  for (let n = 3; n < 256; n++) await (await lease(n)).kill();
  await nextTurn();
  expect(kept.state).toBe('created');
  expect((await source.lease(on(undefined, foreign, specOf(1)))).start).toBe('warm');
  expect((await source.lease(on(undefined, foreign, specOf(2)))).start).toBe('fork');
});

test('draining refuses new leases, waits for what runs, and closes pools and zone', async () => {
  const { source, zones } = await useSource();
  const runs = await source.lease(on('node'));
  const alsoRuns = await source.lease(on(undefined, foreign, command));
  await nextTurn();
  let isDrained = false;
  const drained = source.drain(foreign.digest).then((readmit) => {
    isDrained = true;
    return readmit;
  });
  await expect(source.lease(on('node'))).rejects.toThrow('is being removed');
  await runs.sandbox.kill();
  await nextTurn();
  expect(isDrained).toBe(false);
  expect(source.sandboxesOn(foreign.digest)).toBe(1);
  await alsoRuns.sandbox.kill();
  const readmit = await drained;
  await zones[3]?.closed;
  expect(source.sandboxesOn(foreign.digest)).toBe(0);
  await expect(source.lease(on('node'))).rejects.toThrow('is being removed');
  readmit();
  expect((await source.lease(on('node'))).start, 'the image is back').toBe('cold');
  expect((await source.lease(on('node', base))).start, 'others are served').toBe('fork');
});

test("a runtime's base image cannot be drained", async () => {
  const { source } = await useSource();
  await expect(source.drain(base.digest)).rejects.toThrow('node and python and bash run on it');
});

test('close ends the zones of images too', async () => {
  const { source, zones } = await useSource();
  const { sandbox } = await source.lease(on('node'));
  await source.close();
  expect(sandbox.state).toBe('dead');
  await Promise.all(zones.map((zone) => zone.closed));
});
