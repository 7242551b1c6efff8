import type { Redis } from '../shared/redis.ts';

/*
 * Keys:
 *   oncebox:callbacks-held:<tenant>  zset: jobs that wait until another delivery of their tenant is over, by the Unix time in ms
 *                                    at which they were made
 */
const heldKey = (tenant: string) => `oncebox:callbacks-held:${tenant}`;

/**
 * How long a delivery that is held is delayed, milliseconds, half as long or half as much again: it is called before, and only
 * if who was to call it died or Redis was full it is taken by itself.
 */
const usualUncalledMs = 5 * 60_000;

/**
 * Whose turn it is among the deliveries of one tenant of which no more may be under way. They are called one by one by those
 * that end, in whatever gateway, so that however many wait, nobody takes them to find that they must go on waiting.
 */
export interface Turns {
  /** Until when a delivery that is to be held is delayed, Unix time in ms. */
  until(): number;
  /**
   * To be called when it is delayed: what is not cannot be called. `madeAtMs`: Unix time in ms at which it was made a job. It is
   * the same each time, so that who was called and found the place taken is first again, and not behind all that wait.
   */
  hold(tenant: string, jobId: string, madeAtMs: number): Promise<void>;
  /** One is over: calls the oldest of those that wait. */
  next(tenant: string): Promise<void>;
}

/** `call` has a delayed job taken now, and resolves to false where it is not delayed. */
export function createTurns(
  redis: Redis,
  call: (jobId: string) => Promise<boolean>,
  uncalledMs = usualUncalledMs,
): Turns {
  return {
    until: () => Date.now() + uncalledMs * (0.5 + Math.random()),
    async hold(tenant, jobId, madeAtMs) {
      await redis.zadd(heldKey(tenant), madeAtMs, jobId);
      await redis.pexpire(heldKey(tenant), 2 * uncalledMs);
    },
    async next(tenant) {
      for (;;) {
        const [jobId] = await redis.zpopmin(heldKey(tenant));
        if (jobId === undefined || (await call(jobId))) return;
      }
    },
  };
}
