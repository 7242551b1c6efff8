import type { ServerResponse } from 'node:http';
import { Queue } from 'bullmq';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { addressRule } from '../../services/callbacks/address-rules.ts';
import { type Callbacks, createCallbacks } from '../../services/callbacks/callbacks.ts';
import { startDelivering } from '../../services/callbacks/deliver.ts';
import { createLookUp } from '../../services/callbacks/look-up.ts';
import { createPoster } from '../../services/callbacks/post.ts';
import { createCallbackSecrets } from '../../services/callbacks/secrets.ts';
import { forgotten } from '../../services/queue/result-channel.ts';
import { createLogger } from '../../services/shared/logger.ts';
import { createUndoStack } from '../../services/shared/shutdown.ts';
import { useReceiver } from '../support/receiver.ts';
import { useRedis } from '../support/redis.ts';

/** What a gateway delivers of one tenant at once. */
const atOnce = 32;
const many = 5 * atOnce;
const redis = useRedis();
const receiver = useReceiver();
let undo = createUndoStack();
let callbacks: Callbacks;
let queue: Queue;
/** Of deliveries that are under way: the receiver holds them. */
let open: ServerResponse[] = [];
/** How often a delivery has been taken by the time it is sent, by its job. */
const taken = new Map<string, number>();

beforeEach(() => {
  undo = createUndoStack();
  callbacks = createCallbacks({ redis: redis.connect(), kept: { count: 1000, ms: 60_000 } });
  queue = new Queue('callbacks', { connection: redis.connect(), prefix: 'oncebox' });
  undo.push(async () => {
    await callbacks.close();
    await queue.close();
  });
  open = [];
  taken.clear();
  receiver.answer = async (request, response) => {
    const jobId = String(request.headers['oncebox-delivery']);
    if (request.url === '/quick') return void response.writeHead(204).end();
    taken.set(jobId, (await queue.getJob(jobId))?.attemptsStarted ?? Number.NaN);
    open.push(response);
  };
});
afterEach(() => undo.run());

/** A gateway's part in delivering. */
function deliver(uncalledMs?: number): void {
  const connection = redis.connect();
  // They are held open for as long as a busy machine takes, and none is to be sent again for that.
  const poster = createPoster(addressRule('127.0.0.0/8'), createLookUp(), 10 * 60_000);
  const logger = createLogger('silent', 'test');
  const secrets = createCallbackSecrets(connection);
  const options = { redis: connection, callbacks, secrets, poster, logger };
  const delivering = startDelivering({ ...options, ...(uncalledMs !== undefined && { uncalledMs }) });
  undo.push(async () => {
    for (const response of open) response.destroy();
    await delivering.close();
    await poster.close();
    connection.disconnect();
  });
}

async function end(id: string, tenant: string, path: string): Promise<void> {
  await callbacks.expect(id, tenant, receiver.url(path));
  await callbacks.finished({ ...forgotten(id), status: 'done', outcome: { status: 'ok', result: 0 } });
}
const endMany = () => Promise.all(Array.from({ length: many }, (_, n) => end(`inv_${n}`, 'slow', '/slow')));
async function answerMany(): Promise<void> {
  for (let answered = 0; answered < many; answered++) {
    await eventually(() => expect(open.length).toBeGreaterThan(0));
    open.shift()?.writeHead(204).end();
  }
  await eventually(async () => expect(await callbacks.pending()).toBe(0));
}
const eventually = (expectation: () => Promise<void> | void) =>
  vi.waitFor(expectation, { timeout: 150_000, interval: 20 });

test.each([1, 2])(
  'with %i gateways, callbacks that wait for others of their tenant are taken for a turn and not to be looked at',
  async (gateways) => {
    for (let n = 0; n < gateways; n++) deliver();
    await endMany();
    // Who is quicker may have put off what the other has room for.
    await eventually(async () => {
      expect(open.length).toBeGreaterThanOrEqual(atOnce);
      expect(await queue.getDelayedCount()).toBe(many - open.length);
    });
    const underWay = open.length;
    // All are held up; a callback of somebody else is not.
    await end('inv_other', 'other', '/quick');
    await eventually(async () => expect((await callbacks.state('inv_other'))?.status).toBe('delivered'));
    expect(open, 'no more than the share').toHaveLength(underWay);
    await answerMany();
    const takings = [...taken.values()].reduce((sum, one) => sum + one, 0);
    expect(taken.size).toBe(many);
    if (gateways === 1) expect(takings, 'once, and once more if it waited').toBe(2 * many - atOnce);
    // A turn may come to the other gateway, which has its share under way.
    else expect(takings).toBeLessThan(3 * many);
    expect(receiver.received.filter(({ path }) => path === '/slow')).toHaveLength(many);
  },
);

test('a callback that was called and finds its place taken is first again', async () => {
  const waiting = () => redis.redis.zrange('oncebox:callbacks-held:slow', '0', '-1');
  deliver();
  await endMany();
  await eventually(async () => expect(await waiting()).toHaveLength(many - atOnce));
  const before = await waiting();
  // As by another gateway, whose place is then taken by one that comes anew.
  const [called = ''] = await redis.redis.zpopmin('oncebox:callbacks-held:slow');
  await (await queue.getJob(called))?.promote();
  await eventually(async () => expect(await waiting()).toHaveLength(many - atOnce));
  expect(await waiting()).toEqual(before);
});

test('a turn that nobody called comes by itself', async () => {
  // Nobody can be called: who waits cannot be written down there.
  await redis.redis.set('oncebox:callbacks-held:slow', 'no sorted set');
  deliver(1_000);
  await endMany();
  await eventually(() => expect(open).toHaveLength(atOnce));
  await answerMany();
  expect(taken.size).toBe(many);
  expect(await redis.redis.get('oncebox:callbacks-held:slow')).toBe('no sorted set');
});

test('turns that nobody calls are minutes away, and not all of them come in one moment', async () => {
  deliver();
  await endMany();
  await eventually(async () => expect(await queue.getDelayedCount()).toBe(many - atOnce));
  const delays = (await queue.getDelayed()).map(({ delay }) => delay);
  expect(Math.min(...delays)).toBeGreaterThan(60_000);
  expect(Math.max(...delays)).toBeLessThan(10 * 60_000);
  expect(Math.max(...delays) - Math.min(...delays)).toBeGreaterThan(60_000);
});
