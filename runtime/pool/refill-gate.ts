import { availableParallelism } from 'node:os';

/** A refill that takes longer waits for something, such as a zone that boots, and does not use the CPU. */
const slotHeldMaxMs = 250;
/** A pool takes a place only from one with so many times less demand: two alike would take it from each other in turns. */
const takesFrom = 2;

/** Of some pools: how many they may have parked, and have, those being made included. */
export interface ParkingBudget {
  readonly max: number;
  held: number;
}

/** What a pool is to the gate. */
export interface GateMember {
  readonly parked: number;
  /** Parked ones that it is never asked to give back. */
  readonly reserved: number;
  /** Whether it may run empty before a refill is there. */
  readonly isLow: boolean;
  readonly ratePerSecond: number;
  /** One that it shares with some others, beside that of all. It has nothing reserved then. */
  readonly budget?: ParkingBudget | undefined;
  /** A place may be free: called after a refusal. */
  refill(): void;
  /** Ends one that is parked, and `release`s it. */
  giveBack(): void;
}

export interface RefillGateOptions {
  /** Parked sandboxes of all pools together; those that pools have reserved are kept even beyond it. */
  parkedMax: number;
  /** Refills under way at once; half of the cores, but at least 2, unless given. */
  slots?: number;
}

/**
 * What all pools of a node share: the CPU that refills may take from runs, and the memory of what is parked. A refill
 * needs a slot while it is being made, and a place in the budget until its sandbox is leased or dead. When the budget
 * is used up, the pool that is leased from most rarely gives one back to any that is leased from twice as often.
 */
export class RefillGate {
  readonly slots: number;
  readonly #parkedMax: number;
  readonly #members = new Set<GateMember>();
  /** Refused for want of a slot, longest waiting first. */
  readonly #waiting = new Set<GateMember>();
  #held = 0;
  #refills = 0;

  constructor({ parkedMax, slots }: RefillGateOptions) {
    this.#parkedMax = parkedMax;
    this.slots = slots ?? Math.max(2, Math.floor(availableParallelism() / 2));
  }

  /** Places taken: sandboxes that are parked or being made for it. */
  get held(): number {
    return this.#held;
  }

  join(member: GateMember): void {
    this.#members.add(member);
  }

  leave(member: GateMember): void {
    this.#members.delete(member);
    this.#waiting.delete(member);
  }

  /**
   * A slot and a place for one refill of a member that holds `held`. Undefined when there is none: the member is called
   * when a slot is free, but asks again by itself where the budget was used up. What is returned ends the slot; the
   * place ends with `release`.
   */
  enter(member: GateMember, held: number): (() => void) | undefined {
    if (!this.#hasSlot) {
      this.#waiting.add(member);
      return undefined;
    }
    const { budget } = member;
    if (budget && budget.held >= budget.max && !this.#makeRoom(member, budget)) return undefined;
    if (this.#held >= this.#parkedMax && !this.#makeRoom(member) && held >= member.reserved) return undefined;
    this.#held += 1;
    if (budget) budget.held += 1;
    this.#refills += 1;
    return this.#slot();
  }

  /** The sandbox of a refill was leased, died, or was never made. */
  release({ budget }: GateMember): void {
    this.#held -= 1;
    if (budget) budget.held -= 1;
  }

  /** Ends the slot when first called, or by itself. */
  #slot(): () => void {
    let isOver = false;
    const end = () => {
      if (isOver) return;
      isOver = true;
      clearTimeout(timeout);
      this.#refills -= 1;
      this.#callNext();
    };
    const timeout = setTimeout(end, slotHeldMaxMs).unref();
    return end;
  }

  get #hasSlot(): boolean {
    return this.#refills < this.slots;
  }

  #callNext(): void {
    while (this.#hasSlot && this.#waiting.size > 0) {
      const waiting = [...this.#waiting];
      const next = waiting.find(({ isLow }) => isLow) ?? (waiting[0] as GateMember);
      // It waits again when it wants more than it is given.
      this.#waiting.delete(next);
      next.refill();
    }
  }

  #makeRoom(asking: GateMember, budget?: ParkingBudget): boolean {
    let least: GateMember | undefined;
    for (const member of this.#members) {
      if (member === asking || member.parked <= member.reserved) continue;
      if (budget && member.budget !== budget) continue;
      if (!least || member.ratePerSecond < least.ratePerSecond) least = member;
    }
    if (!least || least.ratePerSecond * takesFrom > asking.ratePerSecond || asking.ratePerSecond === 0)
      return false;
    least.giveBack();
    return true;
  }
}
