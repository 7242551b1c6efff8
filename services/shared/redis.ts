import { Redis } from 'ioredis';
import type { Logger } from './logger.ts';

export type { Redis };

export interface RedisConnectOptions {
  /** Fail a command after about a second without Redis, and after 5 s without its answer, instead of waiting on. */
  failFast?: boolean;
  /** Told of lost connections; the client reconnects by itself. */
  logger?: Logger;
}

/**
 * Connects to `redis://…`, `rediss://…` or `unix:///path/redis.sock`. Without `failFast` the connection suits
 * BullMQ's workers and subscribers, whose commands must outlive a reconnect.
 */
export function connectRedis(url: string, { failFast = false, logger }: RedisConnectOptions = {}): Redis {
  const target = url.startsWith('unix://') ? decodeURIComponent(new URL(url).pathname) : url;
  const redis = new Redis(target, {
    maxRetriesPerRequest: failFast ? 5 : null,
    ...(failFast && { commandTimeout: 5_000 }),
    retryStrategy: (attempt: number) => Math.min(attempt * 50, 1000),
  });
  // Without a listener ioredis prints every failed attempt itself.
  redis.on('error', (error: Error) => logger?.warn({ err: error }, 'redis connection failed'));
  return redis;
}
