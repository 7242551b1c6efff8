import { expect, test, vi } from 'vitest';
import {
  closeInput,
  createInputFeed,
  inputLanes,
  readInput,
  signalNumber,
  takeInput,
} from '../../services/queue/input-feed.ts';
import { useRedis } from '../support/redis.ts';

const redis = useRedis();
const patience = { timeout: 60_000, interval: 10 };
const KiB = 1024;

function feed() {
  const onError = (error: unknown) => {
    throw error;
  };
  const room = { claim: async () => {}, claimToKeep: async () => {} };
  return createInputFeed({ redis: redis.redis, subscriber: redis.connect(), room, onError });
}

async function readAll(id: string): Promise<Buffer> {
  const parts: Buffer[] = [];
  for (let last: string | undefined; ; ) {
    const pieces = await readInput(redis.redis, id, 'stdin', last);
    if (pieces.length === 0) return Buffer.concat(parts);
    for (const piece of pieces) {
      parts.push(piece.bytes);
      last = piece.entry;
    }
  }
}

test('pieces are read in the order of their writes, binary as they were, and again until they are taken', async () => {
  const writer = await feed().open('a', 'blue');
  const bytes = Buffer.from(
    Array.from({ length: 100 * KiB }, (_, index) => (index * 7 + (index >> 8)) & 0xff),
  );
  await Promise.all([writer.write(bytes.subarray(0, 5)), writer.write(bytes.subarray(5)), writer.signal(2)]);
  await writer.end();
  expect((await readAll('a')).equals(bytes)).toBe(true);
  expect((await readAll('a')).equals(bytes)).toBe(true);
  const [first] = await readInput(redis.redis, 'a', 'stdin', undefined);
  if (!first) throw new Error('nothing was read');
  await takeInput(redis.redis, 'a', 'stdin', first);
  await takeInput(redis.redis, 'a', 'stdin', first); // an answer that was lost: it is not counted twice
  expect((await readAll('a')).equals(bytes.subarray(5))).toBe(true);
  const [signal] = await readInput(redis.redis, 'a', 'signal', undefined);
  expect(signal?.bytes.toString()).toBe('2');
  for (const key of ['', ...inputLanes.map((lane) => `:${lane}`)])
    expect(await redis.redis.pttl(`oncebox:input:a${key}`), key).toBeGreaterThan(3_600_000);
});

test('what is not read has a bound on Redis and in the writer, and goes on when there is room', async () => {
  const writer = await feed().open('a', 'blue');
  let written = 0;
  const writes = Array.from({ length: 20 }, () =>
    writer.write(Buffer.alloc(32 * KiB)).then(() => {
      written += 1;
    }),
  );
  await vi.waitFor(() => expect(written).toBe(7), patience); // 7 with what each costs beside, of 256 KiB
  await expect(writer.write(Buffer.alloc(1024 * KiB))).rejects.toThrow(RangeError);
  await writer.signal(15);
  const pieces = await readInput(redis.redis, 'a', 'stdin', undefined);
  expect(pieces).toHaveLength(7);
  for (const piece of pieces.slice(0, 3)) await takeInput(redis.redis, 'a', 'stdin', piece);
  await vi.waitFor(() => expect(written).toBe(10), patience);
  await closeInput(redis.redis, 'a'); // as the worker does when the program is over
  await Promise.all(writes);
  await writer.write(Buffer.from('late'));
  expect(await redis.redis.keys('oncebox:input:*')).toEqual([]);
});

test('who closes the writer takes away what nobody has read, and wakes who waits', async () => {
  const inputs = feed();
  const writer = await inputs.open('a', 'blue');
  const writes = Array.from({ length: 12 }, () => writer.write(Buffer.alloc(32 * KiB)));
  await writes[0];
  await writer.close();
  await Promise.all(writes);
  await vi.waitFor(async () => expect(await redis.redis.keys('oncebox:input:*')).toEqual([]), patience);
  inputs.close();
});

test('whoever has no writer adds pieces by their numbers, and is told when there is no room', async () => {
  const inputs = feed();
  await inputs.open('a', 'blue');
  const add = (number: number, bytes: Uint8Array, waitMs = 0) =>
    inputs.add('a', 'blue', { lane: 'stdin', number, bytes }, waitMs);
  for (let number = 1; number <= 3; number++)
    expect(await add(number, Buffer.alloc(64 * KiB, number))).toBe('added');
  expect(await add(4, Buffer.alloc(64 * KiB), 20)).toBe('full');
  expect(await add(3, Buffer.from('again'))).toBe('added');
  expect(await add(5, Buffer.from('early'))).toBe('gap');
  expect(await add(4, Buffer.alloc(0))).toBe('added');
  expect(await add(5, Buffer.from('late'))).toBe('ended');
  expect(await inputs.add('a', 'red', { lane: 'signal', bytes: Buffer.from('2') }, 0)).toBe('closed');
  expect(await readAll('a')).toHaveLength(3 * 64 * KiB);
  await closeInput(redis.redis, 'a');
  expect(await add(6, Buffer.from('over'))).toBe('closed');
  inputs.close();
});

test('of a Redis that refuses a piece nothing later arrives', async () => {
  const onError = () => {};
  let isFull = false;
  const claim = async () => {
    if (isFull) throw new Error('full');
  };
  const room = { claim, claimToKeep: claim };
  const inputs = createInputFeed({ redis: redis.redis, subscriber: redis.connect(), room, onError });
  const writer = await inputs.open('a', 'blue');
  await writer.write(Buffer.from('one'));
  isFull = true;
  await expect(writer.write(Buffer.from('two'))).rejects.toThrow('full');
  isFull = false;
  await expect(writer.write(Buffer.from('three'))).rejects.toThrow('full');
  expect((await readAll('a')).toString()).toBe('one');
});

test('signals have the names that they have elsewhere, and those of real time are none', () => {
  expect(['SIGINT', 'SIGTERM', 'SIGKILL', 'SIGSYS'].map(signalNumber)).toEqual([2, 15, 9, 31]);
  expect(['SIGRTMIN', 'INT', '2', 'toString', ''].map(signalNumber)).toEqual(Array(5).fill(undefined));
});
