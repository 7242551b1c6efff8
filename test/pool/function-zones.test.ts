import { setImmediate as nextTurn } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import {
  openSandboxSource,
  type SandboxRequest,
  type ZoneRequest,
} from '../../runtime/pool/sandbox-source.ts';
import { SandboxLostError, scratchSpec } from '../../runtime/sandbox/sandbox.ts';
import { FakeZone } from './fake-sandbox.ts';

const MiB = 2 ** 20;
/** Of real time. With each look, `vi.waitFor` also advances the pretended one by the 50 ms between two of them. */
const patience = { timeout: 30_000 };
const base = { digest: 'sha256:base', layers: ['base'], searchPath: '/bin' };
const foreign = { digest: 'sha256:foreign', layers: ['ground'], searchPath: '/opt/bin' };

/** No call comes after a pause, and nothing is idle or boots for long, before a test says so. */
beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
});
afterEach(() => {
  vi.useRealTimers();
});

interface Options {
  boot?: (request: ZoneRequest) => Promise<FakeZone>;
  memoryBytes?: number;
  forksMax?: number;
  functionTarget?: number;
}

async function useSource({
  boot = async () => new FakeZone(),
  memoryBytes = 1000 * MiB,
  forksMax = 10_000,
  functionTarget = 1,
}: Options = {}) {
  const booted: { request: ZoneRequest; zone: FakeZone }[] = [];
  const boots: ZoneRequest[] = [];
  const unfit: string[] = [];
  const source = await openSandboxSource({
    openZone: async (request) => {
      if (request.init === undefined) return new FakeZone();
      boots.push(request);
      const zone = await boot(request);
      booted.push({ request, zone });
      return zone;
    },
    images: { node: base, python: base, bash: base },
    targets: { node: 0, python: 0, bash: 0 },
    functionTarget,
    functionIdleMs: 1000,
    rotation: { forksMax, ageMs: 3_600_000 },
    functionZygotes: {
      memoryBytes,
      onUnfit: (reason, { name, version }) => unfit.push(`${name} ${version}: ${reason}`),
    },
    onError: () => {},
  });
  await nextTurn();

  /** An invocation that takes `initMs` to initialise, where it has to. */
  async function call(request: SandboxRequest, initMs = 0) {
    const lease = await source.lease(request);
    lease.initialised?.(initMs);
    await lease.sandbox.kill();
    await nextTurn();
    return lease;
  }
  return { source, call, boots, booted, unfit };
}

interface VersionOptions {
  name?: string;
  image?: typeof base;
  memoryBytes?: number;
  /** Its code layer, and with it its digest. */
  code?: string;
}

const version = (
  number = 1,
  { name = 'f', image = base, memoryBytes = 128 * MiB, code = `${name}${number}` }: VersionOptions = {},
): SandboxRequest => ({
  runtime: 'node',
  image,
  spec: scratchSpec([code, ...image.layers]),
  function: {
    tenant: 'default',
    name,
    version: number,
    digest: `sha256:${code}`,
    init: { handler: 'index.handler', env: { A: '1' } },
    memoryBytes,
  },
});

test('a function whose initialisation costs gets a zygote, and nobody waits for it', async () => {
  const { call, source, boots, booted } = await useSource();
  expect(await call(version(), 500)).toMatchObject({ start: 'fork' });
  expect(boots, 'one call may be all').toHaveLength(0);
  const second = await call(version(), 500);
  expect(second.sharedInitMs).toBeUndefined();
  expect(boots).toEqual([
    {
      interpreter: 'node',
      layers: ['f1', 'base'],
      searchPath: '/bin',
      init: { handler: 'index.handler', env: { A: '1' } },
      signal: expect.any(AbortSignal),
      zygoteMemoryBytes: 512 * MiB,
    },
  ]);
  const third = await source.lease(version());
  expect(third).toMatchObject({ start: 'fork', sharedInitMs: 0 });
  expect(third.initialised).toBeUndefined();
  expect(booted[0]?.zone.sandboxes).toContain(third.sandbox);
  expect(source.layersInUse()).toEqual(expect.arrayContaining(['f1', 'base']));
});

test('initialisation that costs little is rented long; after a pause the account begins anew', async () => {
  const { call, boots } = await useSource();
  for (let calls = 0; calls < 10; calls++) await call(version(), 10);
  expect(boots).toHaveLength(0);
  vi.advanceTimersByTime(1001);
  for (let calls = 0; calls < 10; calls++) await call(version(), 10);
  expect(boots).toHaveLength(0);
  await call(version(), 10);
  expect(boots).toHaveLength(1);
});

test('a version that opted out, and one that is called without a function, never boot one', async () => {
  const { call, boots } = await useSource();
  const { function: _, ...plain } = version();
  for (let calls = 0; calls < 5; calls++) expect((await call(plain, 900)).initialised).toBeUndefined();
  expect(boots).toHaveLength(0);
});

test('an unfit function runs on, its reason is told once, and it is not tried again soon', async () => {
  const { call, boots, unfit } = await useSource({
    boot: async () => {
      throw new SandboxLostError('initialisation left a file open');
    },
  });
  for (let calls = 0; calls < 6; calls++) expect((await call(version(), 500)).start).not.toBe('cold');
  expect(boots).toHaveLength(1);
  vi.advanceTimersByTime(5_001);
  for (let calls = 0; calls < 3; calls++) await call(version(), 500);
  expect(boots).toHaveLength(2);
  vi.advanceTimersByTime(5_001);
  for (let calls = 0; calls < 3; calls++) await call(version(), 500);
  expect(boots, 'the back-off grows').toHaveLength(2);
  expect(unfit).toEqual(['f 1: initialisation left a file open']);
});

test('a zygote that has more memory than the function is worth is closed', async () => {
  const { call, booted, unfit } = await useSource({
    boot: async () => Object.assign(new FakeZone(), { memoryBytes: 300 * MiB }),
  });
  for (let calls = 0; calls < 3; calls++) expect((await call(version(), 500)).sharedInitMs).toBeUndefined();
  await booted[0]?.zone.closed;
  expect(unfit[0]).toMatch(/^f 1: its zygote has 314572800 bytes, more than the 268435456/);
});

test('when memory runs out the zygote that was used longest ago goes, and none in use', async () => {
  const { call, source, booted } = await useSource({
    boot: async () => Object.assign(new FakeZone(), { memoryBytes: 100 * MiB }),
    memoryBytes: 250 * MiB,
  });
  const warm = async (name: string) => {
    for (let calls = 0; calls < 2; calls++) await call(version(1, { name }), 500);
    await vi.waitFor(async () => expect((await call(version(1, { name }))).sharedInitMs).toBe(0), patience);
  };
  const zoneOf = (name: string) => booted.find(({ request }) => request.layers[0] === `${name}1`)?.zone;
  await warm('a');
  await warm('b');
  const busy = await source.lease(version(1, { name: 'a' }));
  await warm('c');
  await zoneOf('b')?.closed;
  expect(busy.sandbox.state).toBe('created');
  expect((await call(version(1, { name: 'a' }))).sharedInitMs).toBe(0);
  expect((await call(version(1, { name: 'b' }))).sharedInitMs, 'the ordinary way').toBeUndefined();
});

test('a zygote that goes by itself is not waited for: calls go the ordinary way', async () => {
  const { call, source, booted, unfit } = await useSource();
  for (let calls = 0; calls < 2; calls++) await call(version(), 500);
  const lost = await source.lease(version());
  booted[0]?.zone.crash();
  expect(lost.sandbox.state).toBe('dead');
  const [now, later] = [source.lease(version()), nextTurn().then(() => source.lease(version()))];
  for (const lease of await Promise.all([now, later])) expect(lease.sharedInitMs).toBeUndefined();
  expect(unfit[0]).toMatch(/went by itself/);
});

test('a zygote closes when it is not used, and not while a sandbox of it runs', async () => {
  const { call, source, booted } = await useSource();
  for (let calls = 0; calls < 2; calls++) await call(version(), 500);
  const lease = await source.lease(version());
  await nextTurn();
  vi.advanceTimersByTime(1000);
  expect(lease.sandbox.state).toBe('created');
  await lease.sandbox.kill();
  await nextTurn();
  vi.advanceTimersByTime(1000);
  await booted[0]?.zone.closed;
});

test('a boot that takes longer than a zygote lives unused goes on, and its end is told', async () => {
  let fail: (error: Error) => void = () => {};
  const boot = () => new Promise<FakeZone>((_, reject) => (fail = reject));
  const { call, boots, unfit } = await useSource({ boot });
  for (let calls = 0; calls < 2; calls++) await call(version(), 500);
  vi.advanceTimersByTime(3_000);
  for (let calls = 0; calls < 2; calls++) await call(version(), 500);
  expect(boots).toHaveLength(1);
  expect(boots[0]?.signal?.aborted).toBe(false);
  fail(new SandboxLostError('the zygote was not ready in time'));
  await nextTurn();
  expect(unfit).toEqual(['f 1: the zygote was not ready in time']);
});

test("the first call of a newer version closes the older one's zygote, once nothing of it runs", async () => {
  const { call, source, booted } = await useSource();
  for (let calls = 0; calls < 2; calls++) await call(version(1), 500);
  const old = await source.lease(version(1));
  await call(version(2), 500);
  expect(old.sandbox.state).toBe('created');
  await old.sandbox.kill();
  await nextTurn();
  await call(version(2), 500);
  await booted[0]?.zone.closed;
  expect((await call(version(2))).sharedInitMs, 'its own').toBe(0);
  expect(booted).toHaveLength(2);
});

test('draining an image closes the zygotes on it, also one that boots', async () => {
  let signal: AbortSignal | undefined;
  const { call, source, booted } = await useSource({
    boot: (request) => {
      if (request.layers[0] === 'f1') return Promise.resolve(new FakeZone());
      signal = request.signal;
      return new Promise((_, reject) => {
        signal?.addEventListener('abort', () => reject(new SandboxLostError('no longer wanted')));
      });
    },
  });
  for (let calls = 0; calls < 2; calls++) await call(version(1, { image: foreign }), 500);
  for (let calls = 0; calls < 2; calls++) await call(version(2, { image: foreign, name: 'g' }), 500);
  await source.drain(foreign.digest);
  expect(signal?.aborted).toBe(true);
  await booted[0]?.zone.closed;
  expect(source.sandboxesOn(foreign.digest)).toBe(0);
});

test('no more than two boot at once', async () => {
  const { call, boots } = await useSource({ boot: () => new Promise(() => {}) });
  for (const name of ['a', 'b', 'c']) for (let n = 0; n < 3; n++) await call(version(1, { name }), 500);
  expect(boots.map(({ layers }) => layers[0])).toEqual(['a1', 'b1']);
});

test('a zygote that has grown serves no more, and what runs of it goes on', async () => {
  const { call, source, booted, unfit } = await useSource();
  for (let calls = 0; calls < 2; calls++) await call(version(), 500);
  const running = await source.lease(version());
  expect(running.sharedInitMs).toBe(0);
  Object.assign(booted[0]?.zone as FakeZone, { memoryBytes: 600 * MiB });
  vi.advanceTimersByTime(6_000);
  await call(version());
  await nextTurn();
  expect((await call(version())).sharedInitMs).toBeUndefined();
  expect(unfit[0]).toMatch(/its zygote has 629145600 bytes, more than/);
  expect(running.sandbox.state).toBe('created');
});

test('one zygote that is too large for all together takes no room from others', async () => {
  const sizes: Record<string, number> = { a1: 300 * MiB, b1: 300 * MiB, c1: 600 * MiB };
  const { call, booted, unfit } = await useSource({
    boot: async ({ layers }) => Object.assign(new FakeZone(), { memoryBytes: sizes[layers[0] ?? ''] }),
  });
  const sized = (name: string) => version(1, { name, memoryBytes: 2048 * MiB });
  for (const name of ['a', 'b', 'c']) for (let calls = 0; calls < 2; calls++) await call(sized(name), 500);
  await booted[2]?.zone.closed;
  expect(unfit).toEqual([expect.stringMatching(/^c 1: its zygote has .* more than the 524288000 allowed/)]);
  for (const name of ['a', 'b']) expect((await call(sized(name))).sharedInitMs).toBe(0);
});

test('a lease that a drain overtakes finds nothing on the image that goes', async () => {
  const { call, source, booted } = await useSource();
  for (let calls = 0; calls < 2; calls++) await call(version(1, { image: foreign }), 500);
  expect(booted).toHaveLength(1);
  const overtaken = source.lease(version(1, { image: foreign })).then(
    ({ sandbox }) => sandbox.state,
    (error: Error) => error.message,
  );
  await source.drain(foreign.digest);
  expect(await overtaken).toMatch(/^dead$|is being removed/);
  expect(source.sandboxesOn(foreign.digest)).toBe(0);
});

test('functions with the same code have zygotes of their own, and so have versions', async () => {
  const { call, source, booted } = await useSource();
  const same = [version(1, { name: 'a', code: 'same' }), version(1, { name: 'b', code: 'same' })];
  const used = [];
  for (const one of same) {
    for (let calls = 0; calls < 2; calls++) await call(one, 500);
    used.push((await source.lease(one)).sandbox);
  }
  expect(booted).toHaveLength(2);
  for (const [index, { zone }] of booted.entries()) {
    expect(zone.sandboxes).toContain(used[index]);
    expect(zone.sandboxes).not.toContain(used[1 - index]);
  }
  for (let calls = 0; calls < 2; calls++) await call(version(2, { name: 'a', code: 'same' }), 500);
  expect(booted).toHaveLength(3);
  await booted[0]?.zone.close();
  expect((await call(same[1] as SandboxRequest)).sharedInitMs, 'of the other name').toBe(0);
});

test("a function's zygote is replaced too, and no call initialises for it", async () => {
  const { call, booted, source } = await useSource({ forksMax: 5 });
  for (let calls = 0; calls < 2; calls++) await call(version(), 500);
  for (let calls = 0; calls < 20; calls++) expect((await call(version())).sharedInitMs).toBe(0);
  expect(booted.length).toBeGreaterThan(2);
  await booted[0]?.zone.closed;
  expect(booted[0]?.request.init).toEqual(booted[1]?.request.init);
  expect((await source.stats()).groups.function).toMatchObject({
    zoneRotations: booted.length - 1,
    zoneFailures: 0,
  });
});

test('initialisation that fails for a successor leaves the zygote that there is', async () => {
  let boots = 0;
  const { call, booted, unfit } = await useSource({
    forksMax: 3,
    boot: async () => {
      boots += 1;
      if (boots > 1) throw new SandboxLostError('not today');
      return new FakeZone();
    },
  });
  for (let calls = 0; calls < 2; calls++) await call(version(), 500);
  for (let calls = 0; calls < 20; calls++) expect((await call(version())).sharedInitMs).toBe(0);
  expect([boots, booted.length, unfit]).toEqual([2, 1, []]);
});

test('what is parked of functions may have as much memory as their zygotes, if each takes all it may', async () => {
  const { call, source } = await useSource({ memoryBytes: 96 * MiB, functionTarget: 3 });
  for (const name of ['a', 'b', 'c']) for (let n = 0; n < 3; n++) await call(version(1, { name }), 500);
  const parked = () =>
    source.list().filter(({ sandbox, pool }) => pool === 'parked' && sandbox.layers[0] !== 'base');
  await vi.waitFor(async () => expect((await source.stats()).groups.function.parked).toBe(3), patience);
  for (const name of ['a', 'b', 'c'])
    for (let n = 0; n < 5; n++) expect((await call(version(1, { name }))).sharedInitMs).toBe(0);
  expect((await source.stats()).groups.function.parked).toBeLessThanOrEqual(3);
  expect(parked().length).toBeGreaterThan(0);
});

test('a boot that its image is drained from while it waits for its turn is none', async () => {
  const finish: (() => void)[] = [];
  const { call, source, boots } = await useSource({
    boot: () => new Promise((resolve) => finish.push(() => resolve(new FakeZone()))),
  });
  for (const name of ['a', 'b']) for (let n = 0; n < 2; n++) await call(version(1, { name }), 500);
  for (let n = 0; n < 2; n++) await call(version(1, { name: 'c', image: foreign }), 500);
  expect(boots).toHaveLength(2);
  await source.drain(foreign.digest);
  for (const boot of finish) boot();
  await nextTurn();
  expect(boots).toHaveLength(2);
});
