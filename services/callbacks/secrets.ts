import { randomBytes } from 'node:crypto';
import type { CallbackSecret } from '../../sdk/contract/callback.ts';
import type { Redis } from '../shared/redis.ts';

/** How long the one before still signs, so that receivers have time to learn the new one. */
const overlapMs = 24 * 3_600_000;

/** Hash of a tenant's: secret, createdAt; previous, previousUntilMs. */
const secretKey = (tenant: string) => `oncebox:callback-secret:${tenant}`;

/** KEYS: the hash. ARGV: secret, time. Makes the first one, of several at once too. */
const firstScript = `
if redis.call('HSETNX', KEYS[1], 'secret', ARGV[1]) == 1 then redis.call('HSET', KEYS[1], 'createdAt', ARGV[2]) end`;

/** KEYS: the hash. ARGV: secret, time, Unix time in ms till which the one before signs. */
const rotateScript = `
local previous = redis.call('HGET', KEYS[1], 'secret')
redis.call('HSET', KEYS[1], 'secret', ARGV[1], 'createdAt', ARGV[2])
if previous then redis.call('HSET', KEYS[1], 'previous', previous, 'previousUntilMs', ARGV[3]) end`;

/** What the callbacks of a tenant are signed with. */
export interface CallbackSecrets {
  /** Made at the first look. */
  get(tenant: string): Promise<CallbackSecret>;
  /** A new one. The one before signs too for a day. */
  rotate(tenant: string): Promise<CallbackSecret>;
  /** All that sign now, the newest first. */
  signing(tenant: string): Promise<string[]>;
}

export function createCallbackSecrets(redis: Redis): CallbackSecrets {
  async function read(tenant: string) {
    const { secret, createdAt = '', previous, previousUntilMs } = await redis.hgetall(secretKey(tenant));
    if (secret === undefined) return undefined;
    const isOverlapping = previous !== undefined && Number(previousUntilMs) > Date.now();
    const previousUntil = isOverlapping ? new Date(Number(previousUntilMs)).toISOString() : undefined;
    return {
      shown: { secret, createdAt, ...(previousUntil !== undefined && { previousUntil }) },
      signing: isOverlapping ? [secret, previous] : [secret],
    };
  }

  async function readOrMake(tenant: string) {
    for (;;) {
      const found = await read(tenant);
      if (found) return found;
      await redis.eval(firstScript, 1, secretKey(tenant), newSecret(), new Date().toISOString());
    }
  }

  return {
    get: async (tenant) => (await readOrMake(tenant)).shown,
    async rotate(tenant) {
      const now = Date.now();
      const args = [newSecret(), new Date(now).toISOString(), now + overlapMs];
      await redis.eval(rotateScript, 1, secretKey(tenant), ...args);
      return (await readOrMake(tenant)).shown;
    },
    signing: async (tenant) => (await readOrMake(tenant)).signing,
  };
}

/** 256 random bits. */
function newSecret(): string {
  return `ocbs_${randomBytes(32).toString('base64url')}`;
}
