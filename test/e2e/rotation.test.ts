import { readFile, rm } from 'node:fs/promises';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { type Invocation, invocationSchema } from '../../sdk/contract/invocation.ts';
import type { Config } from '../../services/shared/config.ts';
import { type Platform, startPlatform } from '../../services/up/platform.ts';
import { descendants } from '../support/host.ts';
import { leftovers, testConfig } from '../support/platform.ts';

const patience = { timeout: 60_000, interval: 25 };
let config: Config;
let platform: Platform;

beforeAll(async () => {
  config = { ...(await testConfig()), ONCEBOX_ZYGOTE_FORKS_MAX: 20 };
  platform = await startPlatform(config, { log: { step() {}, event() {}, line() {} } });
});
afterAll(async () => {
  await platform?.close();
  await rm(config.ONCEBOX_DATA_DIR, { recursive: true, force: true });
});

/** Its initialisation costs enough for a zygote of its own, and draws a number that tells one from another. */
const code = `for (const end = performance.now() + 300; performance.now() < end; );
  const drawn = Math.random();
  let calls = 0;
  export const handler = () => [drawn, ++calls];`;

async function deploy(name: string): Promise<void> {
  const response = await fetch(`${platform.url}/v1/functions/${name}`, {
    method: 'PUT',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      runtime: 'node',
      handler: 'index.handler',
      files: [{ path: 'index.mjs', content: code }],
    }),
  });
  expect(response.ok, await response.text()).toBe(true);
}

async function call(name: string): Promise<{ drawn: number; record: Invocation }> {
  const response = await fetch(`${platform.url}/v1/functions/${name}/invoke`, { method: 'POST' });
  const value = (await response.json()) as [number, number];
  expect(response.status, JSON.stringify(value)).toBe(200);
  const id = response.headers.get('oncebox-invocation-id');
  const record = invocationSchema.parse(await (await fetch(`${platform.url}/v1/invocations/${id}`)).json());
  expect(value[1]).toBe(1);
  return { drawn: value[0], record };
}

async function untilShared(name: string): Promise<number> {
  return vi.waitFor(async () => {
    const { drawn, record } = await call(name);
    expect(record.init?.shared).toBe(true);
    return drawn;
  }, patience);
}

/** What its zygotes drew, of which one at least served two calls: any may be replaced at any call. */
async function drawnBy(name: string): Promise<Set<number>> {
  const drawn = new Set([await untilShared(name)]);
  let calls = 1;
  for (; drawn.size === calls && calls < 50; calls++) drawn.add((await call(name)).drawn);
  expect(drawn.size, 'the control: forks of one share it').toBeLessThan(calls);
  return drawn;
}

test('two functions with the same code have a zygote each', async () => {
  await deploy('mine');
  await deploy('yours');
  const [mine, yours] = [await drawnBy('mine'), await drawnBy('yours')];
  expect([...mine].filter((one) => yours.has(one))).toEqual([]);
});

test("a function's zygote is replaced as it is used, and its calls do not notice", {
  timeout: 300_000,
}, async () => {
  await deploy('used');
  const drawn = new Set([await untilShared('used')]);
  for (let calls = 0; calls < 300 && drawn.size < 3; calls++) {
    const { drawn: one, record } = await call('used');
    expect(record.start).not.toBe('cold');
    expect(record.init?.shared).toBe(true);
    drawn.add(one);
  }
  expect(drawn.size).toBeGreaterThanOrEqual(3);
  // The old ones go with the last of their sandboxes.
  await vi.waitFor(async () => {
    let zygotes = 0;
    for (const pid of await descendants(platform.pids().launcher as number)) {
      const environment = await readFile(`/proc/${pid}/environ`, 'utf8').catch(() => '');
      const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
      if (environment.includes('"handler":"index.handler"') && /NSpid:\t\d+\t299\n/.test(status))
        zygotes += 1;
    }
    expect(zygotes).toBeLessThanOrEqual(3);
  }, patience);
});

test('nothing is left when it closes', async () => {
  await platform.close();
  expect(await leftovers(config)).toEqual({ processes: [], cgroups: [] });
});
