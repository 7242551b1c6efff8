import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import { text } from 'node:stream/consumers';
import { expect, test } from 'vitest';
import { parseMetrics, total } from '../support/prometheus.ts';
import { usePlatform } from '../support/use-platform.ts';

const running = usePlatform();

/** A function whose initialisation takes 300 ms, so that it is worth a zygote. */
async function deploy(name: string, returns: number, zygote?: boolean): Promise<void> {
  const content = `for (const end = performance.now() + 300; performance.now() < end; ); export const handler = () => ${returns};`;
  await running.client.deploy(name, {
    runtime: 'node',
    handler: 'index.handler',
    files: [{ path: 'index.mjs', content, encoding: 'utf8' }],
    ...(zygote === false && { zygote }),
  });
}

const keepWarm = (name: string, count: number) =>
  running.client.setFunctionSettings(name, { keepWarm: count });

/** Asked of the worker itself: the gateway keeps the figures of one that has just died for a moment. */
async function figures() {
  const asking = request({ socketPath: running.config.nodeSocket, path: '/metrics' }).end();
  const [incoming] = (await once(asking, 'response')) as [IncomingMessage];
  const families = await parseMetrics(await text(incoming));
  const ofFunctions = (name: string) => total(families, name, { group: 'function' });
  return {
    parked: ofFunctions('oncebox_pool_parked'),
    zones: ofFunctions('oncebox_zones'),
    boots: ofFunctions('oncebox_zone_boots_total'),
  };
}
const parked = async () => (await figures()).parked;

async function call(name: string) {
  const { result, invocationId } = await running.client.invoke(name);
  const { start, init } = await running.client.invocation(invocationId);
  return { result, start, shared: init?.shared };
}

const patience = { timeout: 60_000, interval: 200 };
const untilParked = (count: number) => expect.poll(parked, patience).toBe(count);

test('sandboxes of a function that is kept warm are parked before it is ever called', async () => {
  await deploy('kept', 1);
  expect(await parked(), 'the control').toBe(0);
  await keepWarm('kept', 3);
  await untilParked(3);
  expect(await call('kept')).toEqual({ result: 1, start: 'warm', shared: true });
  await untilParked(3);
});

test('a redeploy boots the next version, and then the old one is let go', async () => {
  const { zones, boots } = await figures();
  await deploy('kept', 2);
  // The old one's are there until the new one's are.
  const seen: number[] = [];
  const look = async () => {
    const now = await figures();
    seen.push(now.parked);
    return now;
  };
  await expect.poll(look, patience).toEqual({ parked: 3, zones, boots: boots + 1 });
  expect(Math.min(...seen), `${seen}`).toBe(3);
  expect(await call('kept')).toEqual({ result: 2, start: 'warm', shared: true });
});

test('production that is called by an alias stays warm when the next version is deployed', async () => {
  await running.client.putAlias('kept', 'prod', { version: 2 });
  await deploy('kept', 3);
  await untilParked(6);
  const called = await Promise.all(['kept:prod', 'kept'].map(call));
  expect(called).toEqual([2, 3].map((result) => ({ result, start: 'warm', shared: true })));
  await running.client.deleteAlias('kept', 'prod');
  // What its use calls for may stay.
  await expect.poll(parked, patience).toBeLessThan(6);
});

test("a worker's successor restores it", async () => {
  const before = running.platform.pids().worker as number;
  process.kill(before, 'SIGKILL');
  await expect.poll(() => running.platform.pids().worker ?? before, patience).not.toBe(before);
  await expect.poll(() => parked().catch(() => 0), patience).toBe(3);
  expect(await call('kept')).toEqual({ result: 3, start: 'warm', shared: true });
});

test('what is to be kept no more goes', async () => {
  await keepWarm('kept', 0);
  // What its use calls for stays.
  await expect.poll(parked, patience).toBeLessThan(3);
});

test('a function without a zygote is kept warm too, and initialises in each call', async () => {
  await deploy('zygoteless', 3, false);
  await keepWarm('zygoteless', 2);
  await expect.poll(async () => (await call('zygoteless')).start, patience).toBe('warm');
  expect(await call('zygoteless')).toMatchObject({ result: 3, shared: false });
});
