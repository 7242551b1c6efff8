import { RateLimiterRedis, RateLimiterRes } from 'rate-limiter-flexible';
import type { RateLimit } from '../shared/platform-error.ts';
import type { Redis } from '../shared/redis.ts';

const windowSeconds = 60;
const limitersMax = 1_000;

export interface RequestRates {
  /** Counts a request, and says whether it was within the limit. */
  take(tenant: string, perMinute: number): Promise<{ isWithin: boolean; rateLimit: RateLimit }>;
  /** In the window that goes on now. */
  counted(tenant: string, perMinute: number): Promise<number>;
}

/**
 * Counts requests over all gateways, in a window of a minute that begins with its first request. A gateway that knows a
 * tenant's window to be used up asks Redis no more before it ends: refusing costs next to nothing.
 */
export function createRequestRates(redis: Redis): RequestRates {
  const limiters = new Map<number, RateLimiterRedis>();

  function limiterOf(points: number): RateLimiterRedis {
    const known = limiters.get(points);
    if (known) return known;
    if (limiters.size >= limitersMax) limiters.clear();
    const limiter = new RateLimiterRedis({
      storeClient: redis,
      keyPrefix: 'oncebox:request-rate',
      points,
      duration: windowSeconds,
      inMemoryBlockOnConsumed: points + 1,
    });
    limiters.set(points, limiter);
    return limiter;
  }

  return {
    async take(tenant, perMinute) {
      const state = (remaining: number, msBeforeNext: number): RateLimit => ({
        name: 'requests',
        limit: perMinute,
        remaining,
        resetSeconds: Math.max(1, Math.ceil(msBeforeNext / 1000)),
        windowSeconds,
      });
      try {
        const { remainingPoints, msBeforeNext } = await limiterOf(perMinute).consume(tenant);
        return { isWithin: true, rateLimit: state(remainingPoints, msBeforeNext) };
      } catch (error) {
        // It rejects with its own object when the window is used up, and with an Error when Redis fails.
        if (error instanceof RateLimiterRes)
          return { isWithin: false, rateLimit: state(0, error.msBeforeNext) };
        throw error;
      }
    },
    async counted(tenant, perMinute) {
      return (await limiterOf(perMinute).get(tenant))?.consumedPoints ?? 0;
    },
  };
}
