import { setImmediate as nextTurn } from 'node:timers/promises';
import { afterEach, expect, test, vi } from 'vitest';
import { type BootSlot, BootSlots } from '../../runtime/pool/boot-slots.ts';

afterEach(() => {
  vi.useRealTimers();
});

function useSlots() {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  const slots = new BootSlots();
  const turns = new Map<string, BootSlot>();
  const order: string[] = [];
  const ask = async (name: string) => {
    void slots.enter(name).then((slot) => {
      if (slot === undefined) return;
      turns.set(name, slot);
      order.push(name);
    });
    await nextTurn();
  };
  const end = async (name: string) => {
    turns.get(name)?.end();
    await nextTurn();
  };
  return { slots, turns, order, ask, end };
}

test('two boot at once, and the others in the order in which they asked', async () => {
  const { order, ask, end } = useSlots();
  for (const name of ['a', 'b', 'c', 'd']) await ask(name);
  expect(order).toEqual(['a', 'b']);
  await end('b');
  await end('b');
  await end('a');
  expect(order).toEqual(['a', 'b', 'c', 'd']);
});

test('who asks more often gets no more turns', async () => {
  const { order, ask, end } = useSlots();
  for (const name of ['greedy', 'greedy', 'other', 'greedy', 'modest', 'greedy']) await ask(name);
  expect(order).toEqual(['greedy', 'other']);
  await end('greedy');
  await ask('greedy');
  await end('modest');
  expect(order).toEqual(['greedy', 'other', 'modest', 'greedy']);
});

test('boots that never end keep nobody from a quick one for longer than five seconds', async () => {
  const { order, turns, ask, end } = useSlots();
  for (const name of ['hostile 1', 'hostile 2', 'quick']) await ask(name);
  await vi.advanceTimersByTimeAsync(4_999);
  expect(order).not.toContain('quick');
  await vi.advanceTimersByTimeAsync(2);
  await nextTurn();
  expect(order).toContain('quick');
  await ask('hostile 3');
  await vi.advanceTimersByTimeAsync(5_001);
  expect(turns.get('hostile 3')?.signal.aborted, 'long ones are bounded too').toBe(true);
  expect(turns.get('hostile 1')?.signal.aborted).toBe(false);
  await end('hostile 1');
  await end('hostile 3');
  await ask('slow');
  await vi.advanceTimersByTimeAsync(5_001);
  expect(turns.get('slow')?.signal.aborted).toBe(false);
});

test('who is no longer wanted leaves the queue, and nobody gets a turn once there are no more', async () => {
  const { slots, order, ask, end } = useSlots();
  for (const name of ['a', 'b']) await ask(name);
  const stop = new AbortController();
  const gone = slots.enter('gone', stop.signal);
  const late = slots.enter('late');
  stop.abort();
  expect(await gone).toBeUndefined();
  slots.close();
  expect(await late).toBeUndefined();
  await end('a');
  await ask('c');
  expect(order).toEqual(['a', 'b']);
});
