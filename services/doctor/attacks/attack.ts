import type { Ground } from './ground.ts';

/** One hostile act, and the proof that it is an act at all. */
export interface Attack {
  /** Unique, in kebab-case. */
  id: string;
  /** The row of the table that it belongs to. */
  group: string;
  /** What is tried, as a sentence without a full stop. */
  title: string;
  /** What must happen. */
  must: string;
  /** Runs the act against the platform. Rejects with a `Breach` when a wall did not hold, with `NotHere` to be skipped. */
  attack(ground: Ground): Promise<void>;
  /**
   * The same act where no wall is: it must succeed, or the attack proves nothing. Harmless to the machine. Rejects
   * with a `Breach` when it did not succeed, with `NotHere` to be skipped.
   */
  control(ground: Ground): Promise<void>;
  /**
   * `alone`, unless given: others would disturb it, or it them. `meanwhile`: it is slow by its nature and runs nothing, such
   * as a client that sends slowly; begun first and judged last. `together`: with others of its kind, after those that
   * run alone; what is left is looked for when all of them are over.
   */
  when?: 'alone' | 'meanwhile' | 'together';
}
