import { setImmediate as nextTurn } from 'node:timers/promises';
import { afterEach, expect, test, vi } from 'vitest';
import { openSandboxSource } from '../../runtime/pool/sandbox-source.ts';
import { scratchSpec } from '../../runtime/sandbox/sandbox.ts';
import type { RuntimeName } from '../../sdk/contract/runtime-name.ts';
import { FakeZone } from './fake-sandbox.ts';

afterEach(() => {
  vi.useRealTimers();
});

const image = { digest: 'sha256:base', layers: ['base'], searchPath: '/bin' };

/** A plain snippet's or, with a code layer, a function's. */
const on = (runtime: RuntimeName, codeLayer?: string) => ({
  runtime,
  image,
  spec: scratchSpec(codeLayer === undefined ? ['base'] : [codeLayer, 'base']),
});

async function useSource({ target = 1, functionTarget = 1 } = {}) {
  const zones: FakeZone[] = [];
  const errors: unknown[] = [];
  const source = await openSandboxSource({
    openZone: async () => {
      const zone = new FakeZone();
      zones.push(zone);
      return zone;
    },
    images: { node: image, python: image, bash: image },
    targets: { node: target, python: 0, bash: 0 },
    functionTarget,
    functionIdleMs: 1000,
    onError: (error) => errors.push(error),
  });
  await nextTurn();
  const [node] = zones;
  if (!node) throw new Error('no zone was opened');
  return { source, zones, node, errors };
}

test('a zone is opened for each runtime, and leases from a full pool are warm', async () => {
  const { source, zones } = await useSource();
  expect(zones).toHaveLength(3);
  const lease = await source.lease(on('node'));
  expect(lease.start).toBe('warm');
  expect(lease.sandbox.layers).toEqual(['base']);
});

test('a runtime without parked sandboxes forks', async () => {
  const { source } = await useSource();
  expect((await source.lease(on('python'))).start).toBe('fork');
});

test('a code layer is stacked on the base, and its second lease is warm', async () => {
  const { source } = await useSource();
  const first = await source.lease(on('node', 'code'));
  expect(first.start).toBe('fork');
  expect(first.sandbox.layers).toEqual(['code', 'base']);
  await nextTurn();
  expect((await source.lease(on('node', 'code'))).start).toBe('warm');
});

test('a function version that is not called gives its parked sandboxes back', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  const { source, node } = await useSource();
  const { sandbox } = await source.lease(on('node', 'code'));
  await nextTurn();
  const parked = node.sandboxes.find((one) => one.layers[0] === 'code' && one !== sandbox);
  vi.advanceTimersByTime(1000);
  expect(parked?.state, 'while one is leased the pool stays').toBe('created');
  await sandbox.kill();
  await nextTurn();
  vi.advanceTimersByTime(1000);
  expect(parked?.state).toBe('dead');
  expect(source.list().some(({ sandbox: listed }) => listed.layers[0] === 'code')).toBe(false);
});

test('a zone that crashes is opened again, and whoever waits for that starts cold', async () => {
  const { source, node, zones, errors } = await useSource({ target: 0 });
  node.crash();
  const lease = await source.lease(on('node'));
  expect(lease.start).toBe('cold');
  expect(lease.sandbox.state).toBe('created');
  expect(zones).toHaveLength(4);
  expect(errors).toHaveLength(1);
  expect((await source.lease(on('node'))).start).toBe('fork');
});

test('after a crash the pool fills again from the new zone', async () => {
  const { source, node, zones } = await useSource({ target: 2 });
  node.crash();
  await vi.waitFor(() => expect(zones[3]?.sandboxes).toHaveLength(2), { timeout: 30_000 });
  expect(source.list().map(({ sandbox }) => sandbox)).toEqual(zones[3]?.sandboxes);
});

test('the list shows parked and leased sandboxes with their runtime and layer', async () => {
  const { source } = await useSource({ functionTarget: 0 });
  await source.lease(on('node', 'code'));
  expect(source.list()).toMatchObject([
    { runtime: 'node', pool: 'parked', start: 'warm' },
    { runtime: 'node', pool: 'leased', start: 'fork', sandbox: { layers: ['code', 'base'] } },
  ]);
});

test('close ends every sandbox, leased ones too, and opens no zone again', async () => {
  const { source, zones } = await useSource();
  const { sandbox } = await source.lease(on('bash'));
  await source.close();
  await nextTurn();
  expect(sandbox.state).toBe('dead');
  expect(zones.flatMap((zone) => zone.sandboxes).every((one) => one.state === 'dead')).toBe(true);
  expect(zones).toHaveLength(3);
});
