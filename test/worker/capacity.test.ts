import { expect, test } from 'vitest';
import { MemoryCapacity } from '../../services/worker/capacity.ts';

test('what fits is admitted at once and its room comes back once', async () => {
  const capacity = new MemoryCapacity(100);
  const release = await capacity.acquire(60);
  expect(capacity.freeBytes).toBe(40);
  release();
  release();
  expect(capacity.freeBytes).toBe(100);
});

test('what does not fit waits until enough is released', async () => {
  const capacity = new MemoryCapacity(100);
  const [first, second] = [await capacity.acquire(60), await capacity.acquire(40)];
  const third = capacity.acquire(50);
  expect(capacity.waiting).toBe(1);
  second();
  expect(capacity.waiting).toBe(1);
  first();
  await third;
  expect(capacity.freeBytes).toBe(50);
});

test('a small one does not overtake a large one that waits', async () => {
  const capacity = new MemoryCapacity(100);
  const release = await capacity.acquire(60);
  const order: string[] = [];
  const large = capacity.acquire(80).then((done) => {
    order.push('large');
    done();
  });
  const small = capacity.acquire(10).then(() => order.push('small'));
  release();
  await Promise.all([large, small]);
  expect(order).toEqual(['large', 'small']);
});

test('one that gives up leaves the queue and lets those behind it pass', async () => {
  const capacity = new MemoryCapacity(100);
  await capacity.acquire(60);
  const controller = new AbortController();
  const large = expect(capacity.acquire(80, controller.signal)).rejects.toBe('cancelled');
  const small = capacity.acquire(10);
  controller.abort('cancelled');
  await large;
  await small;
  expect(capacity.freeBytes).toBe(30);
});

test('one that gave up before is not admitted', async () => {
  const capacity = new MemoryCapacity(100);
  await expect(capacity.acquire(10, AbortSignal.abort('cancelled'))).rejects.toBe('cancelled');
  expect(capacity.freeBytes).toBe(100);
});

test('what can never fit is refused', async () => {
  await expect(new MemoryCapacity(100).acquire(101)).rejects.toThrow(RangeError);
});
