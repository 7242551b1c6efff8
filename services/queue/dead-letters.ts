import { z } from 'zod';
import type { DeadLetter } from '../../sdk/contract/dead-letter.ts';
import { invocationSchema } from '../../sdk/contract/invocation.ts';
import type { Redis } from '../shared/redis.ts';
import { invocationJobSchema } from './job.ts';

/*
 * Asynchronous invocations of functions that did not end ok, each with its job, so that it can be run again.
 *   oncebox:dead:<id>            JSON; the invocation's id is the dead letter's
 *   oncebox:dead-of:<tenant>     sorted set of ids, by when they died, Unix time in ms
 *   oncebox:dead-at              the same of all tenants, as `<tenant> <id>`
 */
export const deadLetterKey = (id: string) => `oncebox:dead:${id}`;
export const deadLettersOfKey = (tenant: string) => `oncebox:dead-of:${tenant}`;
export const deadIndexKey = 'oncebox:dead-at';

const storedSchema = z.object({
  job: invocationJobSchema,
  invocation: invocationSchema,
  diedAtMs: z.number(),
  attempts: z.number().int(),
});
export type StoredDeadLetter = z.infer<typeof storedSchema>;

/**
 * KEYS: index, tenant's index, dead letter. ARGV: id, JSON, Unix time in ms, time to keep it in ms, how many are kept, tenant,
 * prefix of dead letters, prefix of tenants' indexes. Where there are too many, a tenant that has more than half of them loses its
 * own oldest: its failures push out nobody else's.
 */
const keepScript = `
redis.call('SET', KEYS[3], ARGV[2], 'PX', ARGV[4])
redis.call('ZADD', KEYS[2], ARGV[3], ARGV[1])
redis.call('ZADD', KEYS[1], ARGV[3], ARGV[6] .. ' ' .. ARGV[1])
local function drop(members)
  for _, member in ipairs(members) do
    local tenant, id = string.match(member, '^(%S+) (%S+)$')
    redis.call('DEL', ARGV[7] .. id)
    redis.call('ZREM', ARGV[8] .. tenant, id)
    redis.call('ZREM', KEYS[1], member)
  end
end
drop(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[3] - ARGV[4], 'LIMIT', 0, 100))
local tooMany = redis.call('ZCARD', KEYS[1]) - ARGV[5]
if tooMany > 0 then
  local most, oldest = math.min(tooMany, 100) - 1, {}
  if redis.call('ZCARD', KEYS[2]) * 2 > tonumber(ARGV[5]) then
    for _, id in ipairs(redis.call('ZRANGE', KEYS[2], 0, most)) do table.insert(oldest, ARGV[6] .. ' ' .. id) end
  else
    oldest = redis.call('ZRANGE', KEYS[1], 0, most)
  end
  drop(oldest)
end
return 1`;

export interface DeadLetterBounds {
  kept: number;
  keptMs: number;
  /** Told of each that is kept: has dead letters give way where the tenant stores more than its quota. Nobody waits for it. */
  onKept?: (tenant: string, id: string) => void;
}

export async function keepDeadLetter(
  redis: Redis,
  letter: StoredDeadLetter,
  { kept, keptMs, onKept }: DeadLetterBounds,
): Promise<void> {
  const { id } = letter.invocation;
  const { tenant } = letter.job;
  await redis.eval(
    keepScript,
    3,
    deadIndexKey,
    deadLettersOfKey(tenant),
    deadLetterKey(id),
    id,
    JSON.stringify(letter),
    letter.diedAtMs,
    keptMs,
    kept,
    tenant,
    deadLetterKey(''),
    deadLettersOfKey(''),
  );
  onKept?.(tenant, id);
}

export interface DeadLetters {
  /** Newest first. */
  list(tenant: string, options: { function?: string | undefined; limit: number }): Promise<DeadLetter[]>;
  get(tenant: string, id: string): Promise<StoredDeadLetter | undefined>;
  /** False where there is none. */
  remove(tenant: string, id: string): Promise<boolean>;
}

/** So many are read at once, as each may have megabytes. */
const readAtOnce = 20;

export function createDeadLetters(redis: Redis): DeadLetters {
  async function read(id: string): Promise<StoredDeadLetter | undefined> {
    const text = await redis.get(deadLetterKey(id));
    return text === null ? undefined : storedSchema.parse(JSON.parse(text));
  }

  return {
    async list(tenant, { function: name, limit }) {
      const found: DeadLetter[] = [];
      const ids = await redis.zrevrange(deadLettersOfKey(tenant), '0', '-1');
      for (let from = 0; from < ids.length && found.length < limit; from += readAtOnce) {
        const letters = await Promise.all(ids.slice(from, from + readAtOnce).map(read));
        for (const letter of letters)
          if (letter && (name === undefined || letter.job.function?.name === name))
            found.push(deadLetterOf(letter));
      }
      return found.slice(0, limit);
    },
    async get(tenant, id) {
      const letter = await read(id);
      return letter?.job.tenant === tenant ? letter : undefined;
    },
    async remove(tenant, id) {
      const removed = await redis.zrem(deadLettersOfKey(tenant), id);
      if (removed === 0) return false;
      await redis.multi().zrem(deadIndexKey, `${tenant} ${id}`).del(deadLetterKey(id)).exec();
      return true;
    },
  };
}

export function deadLetterOf({ job, invocation, diedAtMs, attempts }: StoredDeadLetter): DeadLetter {
  const { stdout: _stdout, stderr: _stderr, ...rest } = invocation;
  return {
    id: invocation.id,
    function: job.function?.name ?? '',
    invocation: rest,
    diedAt: new Date(diedAtMs).toISOString(),
    attempts,
  };
}
