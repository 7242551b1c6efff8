import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Queue } from 'bullmq';
import { afterAll, describe, expect, onTestFinished, test, vi } from 'vitest';
import { untilCancelled, useGateway } from '../support/gateway.ts';
import { useNodeApi } from '../support/node-api.ts';
import { parseMetrics, total } from '../support/prometheus.ts';
import { useRedis } from '../support/redis.ts';

const redis = useRedis();
const directory = mkdtempSync(join(tmpdir(), 'oncebox-test-metrics-'));
mkdirSync(join(directory, 'run'));
afterAll(() => rmSync(directory, { recursive: true }));

describe('without a node', () => {
  const gateway = useGateway(redis, { ONCEBOX_DATA_DIR: join(directory, 'nothing') });

  test('the gateway tells its own figures, and that there is no node', async () => {
    await gateway.app.request('/v1/functions/missing');
    await gateway.app.request('/v1/functions/other', { method: 'PATCH' });
    await gateway.app.request('/nowhere/at/all');
    const response = await gateway.app.request('/metrics');
    expect(response.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8');
    const families = await parseMetrics(await response.text());
    const requests = (labels: Record<string, string>) =>
      total(families, 'oncebox_http_requests_total', labels);
    expect(requests({ route: '/v1/functions/:name', method: 'GET', status: '404' })).toBe(1);
    expect(requests({ route: 'none', status: '405' })).toBe(1);
    expect(requests({ route: 'none', status: '404' })).toBe(1);
    expect(total(families, 'oncebox_http_request_duration_seconds_count')).toBe(3);
    expect(total(families, 'oncebox_http_requests_in_flight')).toBe(1);
    expect(total(families, 'oncebox_node_up')).toBe(0);
    expect(
      families.find(({ name }) => name === 'oncebox_gateway_process_resident_memory_bytes'),
    ).toBeDefined();
  });

  test('names and paths that a client makes up become no labels', async () => {
    for (let i = 0; i < 50; i++)
      await gateway.app.request(`/v1/functions/f${i}/invoke/${i}`, { method: 'POST' });
    for (let i = 0; i < 50; i++) await gateway.app.request(`/v1/functions/f${i}`, { method: `M${i}` });
    const families = await parseMetrics(await (await gateway.app.request('/metrics')).text());
    const samples = families.find(({ name }) => name === 'oncebox_http_requests')?.samples ?? [];
    expect(samples.filter(({ name }) => name.endsWith('_total')).length).toBe(2);
  });

  test('without Redis the other figures are there', async () => {
    const names = async () => {
      const families = await parseMetrics(await (await gateway.app.request('/metrics')).text());
      return families.filter(({ samples }) => samples.length > 0).map(({ name }) => name);
    };
    expect(await names()).toContain('oncebox_queue_waiting');
    vi.spyOn(gateway.queue, 'figures').mockRejectedValue(new Error('Connection is closed.'));
    expect(await names()).not.toContain('oncebox_queue_waiting');
    expect(await names()).toContain('oncebox_http_requests');
  });
});

describe('the queue', () => {
  const gateway = useGateway(redis, { ONCEBOX_DATA_DIR: join(directory, 'nothing') });
  const figure = async (name: string) =>
    total(await parseMetrics(await (await gateway.app.request('/metrics')).text()), `oncebox_queue_${name}`);

  test('is told by what waits, what runs, and how long the oldest has waited', async () => {
    expect(await figure('oldest_waiting_seconds')).toBe(0);
    const send = () =>
      gateway.postJson('/v1/run', { runtime: 'bash', code: '' }, { headers: { prefer: 'respond-async' } });
    const sentAtMs = Date.now();
    await send();
    await vi.waitFor(async () => expect(await figure('oldest_waiting_seconds')).toBeGreaterThan(0.3), 60_000);
    await send();
    await send();
    // The first one's, and not that of those which came since.
    const waitedMs = Math.round((await figure('oldest_waiting_seconds')) * 1000);
    expect(waitedMs).toBeGreaterThan(300);
    expect(waitedMs).toBeLessThanOrEqual(Date.now() - sentAtMs);
    expect([await figure('waiting'), await figure('active')]).toEqual([3, 0]);

    await gateway.startWorker(untilCancelled);
    await vi.waitFor(
      async () => expect([await figure('waiting'), await figure('active')]).toEqual([0, 3]),
      60_000,
    );
    expect(await figure('oldest_waiting_seconds')).toBe(0);
  });

  test('with priorities the oldest is found, wherever it stands', async () => {
    const queue = new Queue('invocations', { connection: redis.redis, prefix: 'oncebox' });
    const add = (priority: number, timestamp: number) => queue.add('x', {}, { priority, timestamp });
    const oldestAtMs = Date.now() - 60_000;
    await add(900, oldestAtMs);
    for (let index = 0; index < 20; index++) await add(10 + index, Date.now());
    await queue.add('later', {}, { delay: 60_000 });
    const seconds = await figure('oldest_waiting_seconds');
    expect(seconds).toBeGreaterThanOrEqual(60);
    expect(Math.round(seconds * 1000)).toBeLessThanOrEqual(Date.now() - oldestAtMs);
    expect([await figure('waiting'), await figure('delayed')]).toEqual([21, 1]);
    await queue.close();
  });
});

describe('with a node', () => {
  const gateway = useGateway(redis, { ONCEBOX_DATA_DIR: directory });
  useNodeApi(() => join(directory, 'run', 'node.sock'));

  test('its figures are among those of the gateway', async () => {
    // A node that does not answer in time is not waited for, and is asked again by who asks again.
    await vi.waitFor(async () => {
      const families = await parseMetrics(await (await gateway.app.request('/metrics')).text());
      expect(total(families, 'oncebox_node_up')).toBe(1);
      expect(total(families, 'oncebox_of_node')).toBe(7);
    }, 60_000);
  });
});

describe('with a node that counts', () => {
  const counting = join(directory, 'counting');
  const gateway = useGateway(redis, { ONCEBOX_DATA_DIR: counting });
  const nodeUp = async () =>
    total(await parseMetrics(await (await gateway.app.request('/metrics')).text()), 'oncebox_node_up');

  test('the node is asked once a second, however many ask the gateway; one that was not there at once', async () => {
    mkdirSync(join(counting, 'run'), { recursive: true });
    expect(await nodeUp()).toBe(0);
    let asked = 0;
    const node = createServer((_, response) => {
      asked += 1;
      response.end('');
    });
    await new Promise<void>((resolve) => node.listen(join(counting, 'run', 'node.sock'), resolve));
    onTestFinished(() => void node.close());
    vi.useFakeTimers({ toFake: ['performance'] });
    onTestFinished(() => void vi.useRealTimers());
    const limit = vi.spyOn(AbortSignal, 'timeout').mockImplementation(() => new AbortController().signal);
    onTestFinished(() => limit.mockRestore());
    const texts = await Promise.all(Array.from({ length: 20 }, () => gateway.app.request('/metrics')));
    expect(new Set(texts.map(({ status }) => status))).toEqual(new Set([200]));
    expect(asked).toBe(1);
    for (const [laterMs, times] of [
      [999, 1],
      [1, 2],
    ] as const) {
      vi.advanceTimersByTime(laterMs);
      expect(await nodeUp()).toBe(1);
      expect(asked).toBe(times);
    }
  });
});
