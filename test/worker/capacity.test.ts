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
  const large = expect(capacity.acquire(80, { signal: controller.signal })).rejects.toBe('cancelled');
  const small = capacity.acquire(10);
  controller.abort('cancelled');
  await large;
  await small;
  expect(capacity.freeBytes).toBe(30);
});

test('one that gave up before is not admitted', async () => {
  const capacity = new MemoryCapacity(100);
  await expect(capacity.acquire(10, { signal: AbortSignal.abort('cancelled') })).rejects.toBe('cancelled');
  expect(capacity.freeBytes).toBe(100);
});

test('what can never fit is refused', async () => {
  await expect(new MemoryCapacity(100).acquire(101)).rejects.toThrow(RangeError);
});

test("a tenant's large one that waits does not keep another tenant's small one out", async () => {
  const capacity = new MemoryCapacity(100);
  const release = await capacity.acquire(60, { tenant: 'a' });
  const large = capacity.acquire(80, { tenant: 'a' });
  const own = capacity.acquire(10, { tenant: 'a' });
  const small = await capacity.acquire(10, { tenant: 'b' });
  expect(capacity.waiting).toBe(2);
  release();
  await large;
  await own;
  small();
});

test('tenants take turns for room, each its own first come, first served', async () => {
  const capacity = new MemoryCapacity(10);
  const release = await capacity.acquire(10, { tenant: 'a' });
  const order: string[] = [];
  const all = ['a1', 'a2', 'a3', 'b1', 'b2'].map((name) =>
    capacity.acquire(10, { tenant: name.slice(0, 1) }).then((done) => {
      order.push(name);
      done();
    }),
  );
  release();
  await Promise.all(all);
  expect(order).toEqual(['a1', 'b1', 'a2', 'b2', 'a3']);
});

test('a large one is not passed for ever', async () => {
  const capacity = new MemoryCapacity(100);
  let running = await capacity.acquire(40, { tenant: 'b' });
  let isAdmitted = false;
  const large = capacity.acquire(80, { tenant: 'a' }).then(() => {
    isAdmitted = true;
  });
  // There is always one of the others: the next is asked for before the last is over.
  for (let rounds = 0; rounds < 10 && !isAdmitted; rounds++) {
    const next = capacity.acquire(40, { tenant: 'b' });
    running();
    running = await Promise.race([next, large.then(() => () => {})]);
  }
  await large;
});

test('where there are other tenants, one that has room already gets none of the last eighth', async () => {
  let isShared = true;
  const capacity = new MemoryCapacity(80, () => isShared);
  const releases = await Promise.all([1, 2, 3, 4].map(() => capacity.acquire(15, { tenant: 'a' })));
  const fifth = capacity.acquire(15, { tenant: 'a' });
  expect(capacity.waiting).toBe(1);
  (await capacity.acquire(20, { tenant: 'b' }))();
  releases[0]?.();
  await fifth;
  for (const release of releases) release();
  // All of it for one, where that asks for all.
  const alone = new MemoryCapacity(80, () => true);
  (await alone.acquire(80, { tenant: 'a' }))();
  isShared = false;
  await Promise.all([1, 2, 3, 4].map(() => capacity.acquire(15, { tenant: 'a' })));
  expect(capacity.waiting).toBe(0);
});
