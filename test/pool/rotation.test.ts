import { setImmediate as nextTurn } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { openSandboxSource } from '../../runtime/pool/sandbox-source.ts';
import { SandboxLostError, scratchSpec } from '../../runtime/sandbox/sandbox.ts';
import { FakeZone } from './fake-sandbox.ts';

const base = { digest: 'sha256:base', layers: ['base'], searchPath: '/bin' };
const foreign = { digest: 'sha256:foreign', layers: ['ground'], searchPath: '/opt/bin' };
const snippet = { runtime: 'node' as const, image: base, spec: scratchSpec(['base']) };
const onForeign = { runtime: 'node' as const, image: foreign, spec: scratchSpec(['ground']) };
const patience = { timeout: 30_000 };

beforeEach(() => {
  vi.spyOn(Math, 'random').mockReturnValue(0); // no jitter
});
afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

interface Options {
  forksMax?: number;
  ageMs?: number;
  target?: number;
  /** Of successors. */
  boot?: () => Promise<FakeZone>;
}

/** Node's zones are listed, in the order in which they were asked for. */
async function useSource({ forksMax = 1000, ageMs = 3_600_000, target = 2, boot }: Options = {}) {
  const zones: FakeZone[] = [];
  const errors: string[] = [];
  let boots = 0;
  const source = await openSandboxSource({
    openZone: async ({ interpreter }) => {
      if (interpreter !== 'node') return new FakeZone();
      boots += 1;
      const zone = boots > 1 && boot ? await boot() : new FakeZone();
      zones.push(zone);
      return zone;
    },
    images: { node: base, python: base, bash: base },
    targets: { node: target, python: 0, bash: 0 },
    functionTarget: 1,
    functionIdleMs: 10_000_000,
    rotation: { forksMax, ageMs },
    onError: (error) => errors.push((error as Error).message),
  });
  await nextTurn();

  async function call(request = snippet) {
    const lease = await source.lease(request);
    await lease.sandbox.kill();
    await nextTurn();
    return lease;
  }
  const stats = async () => (await source.stats()).groups.node;
  return { source, call, zones, errors, stats, boots: () => boots };
}

const isClosed = (zone: FakeZone | undefined) =>
  Promise.race([zone?.closed.then(() => true), nextTurn().then(() => false)]);
const madeBy = (zone: FakeZone | undefined, { sandbox }: { sandbox: unknown }) =>
  zone?.sandboxes.some((made) => made === sandbox) ?? false;

test('after so many forks a new zone makes the sandboxes, and the old one goes with what it has parked', async () => {
  const { call, source, zones, stats } = await useSource({ forksMax: 5 });
  for (let calls = 0; calls < 4; calls++) expect((await call()).start).toBe('warm');
  await vi.waitFor(async () => expect(await isClosed(zones[0])).toBe(true), patience);
  await vi.waitFor(() => {
    const parked = source.list();
    expect(parked.length).toBeGreaterThan(1);
    expect(parked.every((listed) => madeBy(zones.at(-1), listed))).toBe(true);
  }, patience);
  const lease = await call();
  expect(lease.start).not.toBe('cold');
  expect(madeBy(zones[0], lease)).toBe(false);
  await vi.waitFor(async () => expect(await stats()).toMatchObject({ zones: 1, zonesRetired: 0 }), patience);
  const { zoneRotations, zoneBoots, coldLeases } = await stats();
  expect(zoneRotations).toBeGreaterThan(0);
  expect([zoneBoots, coldLeases]).toEqual([zoneRotations + 1, 0]);
});

test('pools that park more than one zygote may fork come to rest', async () => {
  const { stats } = await useSource({ forksMax: 3, target: 20 });
  await vi.waitFor(async () => expect((await stats()).parked).toBe(20), patience);
  const { zoneRotations } = await stats();
  expect(zoneRotations).toBeLessThanOrEqual(5);
  for (let turn = 0; turn < 200; turn++) await nextTurn();
  expect(await stats()).toMatchObject({ parked: 20, zoneRotations, zones: 1 });
});

test('a zygote that nobody forks is replaced for its age, and its successor too', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  const { source, zones } = await useSource({ ageMs: 1000, target: 1 });
  for (let age = 1; age <= 3; age++) {
    await vi.advanceTimersByTimeAsync(1001);
    await nextTurn();
    expect(zones).toHaveLength(age + 1);
    expect(await isClosed(zones[age - 1])).toBe(true);
    expect(source.list().map((listed) => madeBy(zones[age], listed))).toEqual([true]);
  }
});

test('what runs when its zone is replaced runs to its end', async () => {
  const { source, call, zones, stats } = await useSource({ forksMax: 3 });
  const running = await source.lease(snippet);
  for (let calls = 0; calls < 2; calls++) await call();
  await vi.waitFor(async () => expect((await stats()).zoneRotations).toBeGreaterThan(0), patience);
  expect(running.sandbox.state).toBe('created');
  expect(await isClosed(zones[0])).toBe(false);
  expect(await stats()).toMatchObject({ zones: 2, zonesRetired: 1 });
  expect(source.list()).toContainEqual(expect.objectContaining({ sandbox: running.sandbox, pool: 'leased' }));
  await running.sandbox.kill();
  await vi.waitFor(async () => expect(await isClosed(zones[0])).toBe(true), patience);
});

test('a sandbox that its zone was making when that was replaced is parked nowhere', async () => {
  const { source, call, zones } = await useSource({ forksMax: 4, target: 1 });
  const create = zones[0]?.create.bind(zones[0]) as FakeZone['create'];
  const late: (() => void)[] = [];
  (zones[0] as FakeZone).create = async (spec) => {
    await new Promise<void>((resolve) => late.push(resolve));
    return create(spec);
  };
  void call();
  await vi.waitFor(() => expect(late).toHaveLength(1), patience);
  const waiting = [source.lease(snippet), source.lease(snippet)];
  await vi.waitFor(() => expect(zones).toHaveLength(2), patience);
  await nextTurn();
  for (const make of late) make();
  for (const lease of await Promise.all(waiting)) expect(lease.start).toBe('fork');
  await vi.waitFor(() => {
    const parked = source.list().filter(({ pool }) => pool === 'parked');
    expect(parked.length).toBeGreaterThan(0);
    expect(parked.every((listed) => madeBy(zones[1], listed))).toBe(true);
  }, patience);
});

test('a successor that does not boot leaves the old zygote serving, with the reason, and is tried again', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  let isBroken = true;
  const { call, zones, errors, boots, stats } = await useSource({
    forksMax: 3,
    boot: async () => {
      if (isBroken) throw new SandboxLostError('no memory');
      return new FakeZone();
    },
  });
  for (let calls = 0; calls < 20; calls++) {
    expect((await call()).start).not.toBe('cold');
    await vi.advanceTimersByTimeAsync(50);
  }
  expect([boots(), zones.length]).toEqual([2, 1]);
  expect(errors).toEqual(['the zygote serves on, for its successor did not boot: no memory']);
  expect(await stats()).toMatchObject({ zoneFailures: 1, zoneRotations: 0 });
  isBroken = false;
  await vi.advanceTimersByTimeAsync(30_001);
  await vi.waitFor(() => expect(zones).toHaveLength(2), patience);
  await vi.waitFor(async () => expect(await isClosed(zones[0])).toBe(true), patience);
});

test('nobody waits for a successor that boots slowly', async () => {
  const { call, zones } = await useSource({ forksMax: 3, boot: () => new Promise(() => {}) });
  for (let calls = 0; calls < 20; calls++) {
    const lease = await call();
    expect(lease.start).not.toBe('cold');
    expect(madeBy(zones[0], lease)).toBe(true);
  }
});

test('no more than two zones of a runtime are on their way out; the third waits for one of them', async () => {
  const { source, zones, stats } = await useSource({ forksMax: 2, target: 0 });
  const long = [];
  for (let leases = 0; leases < 20; leases++) {
    long.push(await source.lease(snippet));
    await nextTurn();
  }
  expect(zones).toHaveLength(3);
  expect(await stats()).toMatchObject({ zonesRetired: 2, zoneRotations: 2 });
  await Promise.all(long.filter((lease) => madeBy(zones[0], lease)).map(({ sandbox }) => sandbox.kill()));
  await vi.waitFor(() => expect(zones).toHaveLength(4), patience);
  expect(await isClosed(zones[0])).toBe(true);
  expect(await isClosed(zones[1])).toBe(false);
});

test('a zone that goes by itself takes no run of its predecessor with it', async () => {
  const { source, call, zones, stats } = await useSource({ forksMax: 3, target: 0 });
  const running = await source.lease(snippet);
  await vi.waitFor(async () => {
    await call();
    expect((await stats()).zoneRotations).toBe(1);
  }, patience);
  zones[1]?.crash();
  expect((await call()).start).toBe('cold');
  expect(running.sandbox.state).toBe('created');
  await running.sandbox.kill();
  await zones[0]?.closed;
});

test("an image's zone that goes by itself takes no run of its predecessor with it either, and that is listed", async () => {
  // It is not opened again before its back-off is over.
  vi.useFakeTimers({ toFake: ['performance'] });
  const { source, call, zones } = await useSource({ forksMax: 3, target: 0 });
  const running = await source.lease(onForeign);
  await vi.waitFor(async () => {
    await call(onForeign);
    expect((await source.stats()).groups.image.zoneRotations).toBeGreaterThan(0);
  }, patience);
  for (let turn = 0; turn < 20; turn++) await nextTurn();
  zones.at(-1)?.crash();
  for (let turn = 0; turn < 5; turn++) await nextTurn();
  expect(running.sandbox.state).toBe('created');
  expect(await isClosed(zones[1])).toBe(false);
  expect(source.list().map(({ sandbox }) => sandbox)).toContain(running.sandbox);
  await expect(source.lease(onForeign)).rejects.toThrow('went by itself');
  let isDrained = false;
  const drained = source.drain(foreign.digest).then(() => {
    isDrained = true;
  });
  await nextTurn();
  expect(isDrained).toBe(false);
  await running.sandbox.kill();
  await drained;
  await zones[1]?.closed;
  expect(source.list()).toEqual([]);
});

test('closing ends what runs in the predecessor of a zone that went by itself', async () => {
  const { source, call, zones } = await useSource({ forksMax: 3, target: 0 });
  const running = await source.lease(onForeign);
  await vi.waitFor(async () => {
    await call(onForeign);
    expect((await source.stats()).groups.image.zoneRotations).toBeGreaterThan(0);
  }, patience);
  for (let turn = 0; turn < 20; turn++) await nextTurn();
  zones.at(-1)?.crash();
  await nextTurn();
  await source.close();
  expect(running.sandbox.state).toBe('dead');
});

test('a zone that goes by itself while its successor boots is opened again, and that is no cold start for ever', async () => {
  let finish: (zone: FakeZone) => void = () => {};
  let isFirst = true;
  const { call, zones } = await useSource({
    forksMax: 3,
    boot: () => {
      if (!isFirst) return Promise.resolve(new FakeZone());
      isFirst = false;
      return new Promise((resolve) => {
        finish = resolve;
      });
    },
  });
  for (let calls = 0; calls < 3; calls++) await call();
  zones[0]?.crash();
  await vi.waitFor(() => expect(zones).toHaveLength(2), patience);
  await call();
  const unwanted = new FakeZone();
  finish(unwanted);
  await unwanted.closed;
  expect((await call()).start).not.toBe('cold');
});

test("an image's own zygote is replaced too, and goes with its image", async () => {
  const { source, call, zones } = await useSource({ forksMax: 3, target: 0 });
  expect((await call(onForeign)).start).toBe('cold');
  for (let calls = 0; calls < 6; calls++) expect((await call(onForeign)).start).not.toBe('cold');
  await vi.waitFor(async () => expect(await isClosed(zones[1])).toBe(true), patience);
  expect((await source.stats()).groups.image.zoneRotations).toBeGreaterThan(0);
  await source.drain(foreign.digest);
  for (const zone of zones.slice(1)) await zone.closed;
});

test('all zones are gone when the source is closed, those on their way out and those that boot included', async () => {
  let signal: AbortSignal | undefined;
  const zones: FakeZone[] = [];
  const source = await openSandboxSource({
    openZone: async (request) => {
      if (request.interpreter === 'node' && zones.length === 2) {
        signal = request.signal;
        return new Promise((_, reject) => {
          signal?.addEventListener('abort', () => reject(new SandboxLostError('no longer wanted')));
        });
      }
      const zone = new FakeZone();
      if (request.interpreter === 'node') zones.push(zone);
      return zone;
    },
    images: { node: base, python: base, bash: base },
    targets: { node: 0, python: 0, bash: 0 },
    functionTarget: 0,
    functionIdleMs: 1000,
    rotation: { forksMax: 2, ageMs: 3_600_000 },
    onError: () => {},
  });
  for (let leases = 0; leases < 12; leases++) {
    await source.lease(snippet);
    await nextTurn();
  }
  expect(zones).toHaveLength(2);
  await source.close();
  expect(signal?.aborted).toBe(true);
  await Promise.all(zones.map(({ closed }) => closed));
});

test('zones on their way out are bounded for all images together; who has to wait serves on', async () => {
  const { source, zones } = await useSource({ forksMax: 2, target: 0 });
  const images = Array.from({ length: 12 }, (_, index) => ({
    ...foreign,
    digest: `sha256:${index}`,
    layers: [`ground${index}`],
  }));
  for (let leases = 0; leases < 20; leases++) {
    for (const image of images) {
      const { sandbox } = await source.lease({ runtime: 'node', image, spec: scratchSpec(image.layers) });
      expect(sandbox.state).toBe('created');
    }
    await nextTurn();
  }
  const { zonesRetired, zones: open } = (await source.stats()).groups.image;
  expect(zonesRetired).toBe(6);
  expect(open).toBe(zones.length - 1);
  await source.close();
});

test('closing ends the boot of a zone that is opened anew', async () => {
  let node: FakeZone | undefined;
  let signal: AbortSignal | undefined;
  const source = await openSandboxSource({
    openZone: async (request) => {
      if (request.interpreter !== 'node') return new FakeZone();
      if (!node) {
        node = new FakeZone();
        return node;
      }
      signal = request.signal;
      return new Promise((_, reject) => {
        signal?.addEventListener('abort', () => reject(new SandboxLostError('no longer wanted')));
      });
    },
    images: { node: base, python: base, bash: base },
    targets: { node: 1, python: 0, bash: 0 },
    functionTarget: 0,
    functionIdleMs: 1000,
    onError: () => {},
  });
  node?.crash();
  await vi.waitFor(() => expect(signal).toBeDefined(), patience);
  const waiting = source.lease(snippet);
  waiting.catch(() => {});
  await source.close();
  expect(signal?.aborted).toBe(true);
  await expect(waiting).rejects.toThrow('no longer wanted');
});
