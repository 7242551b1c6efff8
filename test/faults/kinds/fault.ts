import type { Random } from '../../../loadtest/generators/random.ts';
import type { FaultyPlatform } from '../platform.ts';

/** Something that goes wrong under a platform that serves. */
export interface Fault {
  name: string;
  /** Does it, and resolves with what was done to whom once it is over; what follows from it may not be. */
  strike(platform: FaultyPlatform, random: Random): Promise<string>;
}
