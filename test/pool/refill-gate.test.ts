import { afterEach, expect, test, vi } from 'vitest';
import { type GateMember, RefillGate } from '../../runtime/pool/refill-gate.ts';

afterEach(() => {
  vi.useRealTimers();
});

function useMember(gate: RefillGate, changes: Partial<GateMember> = {}) {
  const member = {
    parked: 0,
    reserved: 0,
    isLow: false,
    ratePerSecond: 1,
    calls: 0,
    refill() {
      member.calls += 1;
    },
    giveBack() {
      member.parked -= 1;
      gate.release(member);
    },
    ...changes,
  };
  gate.join(member);
  return member;
}

test('refills of all pools share the slots, and who was refused is called when one is free', () => {
  const gate = new RefillGate({ parkedMax: 100, slots: 2 });
  const [busy, waits] = [useMember(gate), useMember(gate)];
  const ends = [gate.enter(busy, 0), gate.enter(busy, 1)];
  expect(gate.enter(waits, 0)).toBeUndefined();
  expect(waits.calls).toBe(0);
  ends[0]?.();
  expect(waits.calls).toBe(1);
  expect(gate.enter(waits, 0)).toBeDefined();
});

test('a slot goes first to a pool that runs low', () => {
  const gate = new RefillGate({ parkedMax: 100, slots: 1 });
  const end = gate.enter(useMember(gate), 0);
  const order: string[] = [];
  const enters = (name: string, isLow: boolean) => {
    const member = useMember(gate, {
      isLow,
      refill: () => {
        order.push(name);
        gate.enter(member, 0);
      },
    });
    expect(gate.enter(member, 0)).toBeUndefined();
  };
  enters('well', false);
  enters('low', true);
  end?.();
  expect(order).toEqual(['low']);
});

test('a refill that waits for something else does not keep its slot', () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  const gate = new RefillGate({ parkedMax: 100, slots: 1 });
  const end = gate.enter(useMember(gate), 0);
  const waits = useMember(gate);
  gate.enter(waits, 0);
  vi.advanceTimersByTime(250);
  expect(waits.calls).toBe(1);
  expect(gate.enter(waits, 0)).toBeDefined();
  end?.();
  expect(gate.enter(waits, 1), 'its end does not free a second slot').toBeUndefined();
});

test('when the budget is used up the pool with the least demand gives back, and not to one with about as little', () => {
  const gate = new RefillGate({ parkedMax: 2, slots: 2 });
  const rare = useMember(gate, { ratePerSecond: 1 });
  const common = useMember(gate, { ratePerSecond: 5 });
  for (const member of [rare, common]) {
    gate.enter(member, 0)?.();
    Object.assign(member, { parked: 1 });
  }
  const alike = useMember(gate, { ratePerSecond: 1.9 });
  expect(gate.enter(alike, 0), 'two alike do not take from each other in turns').toBeUndefined();
  const hot = useMember(gate, { ratePerSecond: 9 });
  expect(gate.enter(hot, 0)).toBeDefined();
  expect([rare.parked, common.parked, gate.held]).toEqual([0, 1, 2]);
});

test('what a pool has reserved is kept, and granted even beyond the budget', () => {
  const gate = new RefillGate({ parkedMax: 1, slots: 4 });
  const base = useMember(gate, { reserved: 2, ratePerSecond: 0 });
  gate.enter(base, 0)?.();
  gate.enter(base, 1)?.();
  Object.assign(base, { parked: 2 });
  expect(gate.held).toBe(2);
  expect(gate.enter(base, 2), 'more than reserved').toBeUndefined();
  expect(gate.enter(useMember(gate, { ratePerSecond: 9 }), 0)).toBeUndefined();
  expect(base.parked).toBe(2);
});

test('pools that share a budget of their own keep to it, and take places from each other only', () => {
  const gate = new RefillGate({ parkedMax: 100, slots: 100 });
  const budget = { max: 2, held: 0 };
  const stranger = useMember(gate, { parked: 5, ratePerSecond: 0.001 });
  const rare = useMember(gate, { budget, parked: 1, ratePerSecond: 1 });
  const busy = useMember(gate, { budget, ratePerSecond: 10 });
  expect(gate.enter(rare, 0)).toBeDefined();
  expect(gate.enter(busy, 0)).toBeDefined();
  expect(gate.enter(rare, 1), 'it is leased from less').toBeUndefined();
  expect(gate.enter(busy, 1)).toBeDefined();
  expect([rare.parked, stranger.parked, budget.held]).toEqual([0, 5, 2]);
  expect(gate.enter(busy, 2)).toBeUndefined();
  expect(gate.enter(stranger, 5), 'others are not bound by it').toBeDefined();
  gate.release(busy);
  expect(gate.enter(busy, 1)).toBeDefined();
});
