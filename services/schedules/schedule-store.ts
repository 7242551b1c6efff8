import { z } from 'zod';
import { type LastRun, scheduleSchema, schedulesMax } from '../../sdk/contract/schedule.ts';
import { PlatformError } from '../shared/platform-error.ts';
import type { Redis } from '../shared/redis.ts';

/*
 * Keys:
 *   oncebox:schedules:<tenant>      hash: id → definition, JSON
 *   oncebox:schedule-runs:<tenant>  hash: <id>:last → JSON, <id>:due → Unix time in ms of that, <id>:count
 *   oncebox:schedule-tenants        set of the tenants that have any
 */
const tenantsKey = 'oncebox:schedule-tenants';
export const definitionsKey = (tenant: string) => `oncebox:schedules:${tenant}`;
const runsKey = (tenant: string) => `oncebox:schedule-runs:${tenant}`;

const definitionSchema = scheduleSchema
  .omit({ id: true, event: true, nextRunAt: true, runs: true, lastRun: true })
  .extend({
    eventJson: z.string(),
    /** Another one after each change: a fire of what was is told from one of what is. */
    revision: z.string(),
    /** Hex: what ids of the calls are made of, so that they can be made again and not be guessed. */
    seed: z.string().regex(/^[a-f0-9]{32}$/),
  });
export type Definition = z.infer<typeof definitionSchema>;

export interface Runs {
  count: number;
  last?: LastRun;
}

/** KEYS: definitions, tenants. ARGV: id, what it was or empty, what it is, tenant, most. Returns 1, 0 if it was not that, -1 if they are too many. */
const putScript = `
local was = redis.call('HGET', KEYS[1], ARGV[1]) or ''
if was ~= ARGV[2] then return 0 end
if was == '' and redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[5]) then return -1 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
redis.call('SADD', KEYS[2], ARGV[4])
return 1`;

/** KEYS: definitions, runs, tenants. ARGV: id, tenant. Returns how many went. */
const deleteScript = `
local count = redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('HDEL', KEYS[2], ARGV[1] .. ':last', ARGV[1] .. ':due', ARGV[1] .. ':count')
if redis.call('EXISTS', KEYS[1]) == 0 then redis.call('SREM', KEYS[3], ARGV[2]) end
return count`;

/** A run that took longer than the next one does not take its place. KEYS: definitions, runs. ARGV: id, due in ms, JSON. */
const recordScript = `
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 then return end
local due = tonumber(redis.call('HGET', KEYS[2], ARGV[1] .. ':due') or 0)
if due > tonumber(ARGV[2]) then return end
if due < tonumber(ARGV[2]) then redis.call('HINCRBY', KEYS[2], ARGV[1] .. ':count', 1) end
redis.call('HSET', KEYS[2], ARGV[1] .. ':due', ARGV[2], ARGV[1] .. ':last', ARGV[3])`;

/** What schedules there are. When they are due is BullMQ's business and made of this. */
export interface ScheduleStore {
  /** Made of what was, if anything. Throws PlatformError `schedule_limit_reached`. */
  put(
    tenant: string,
    id: string,
    make: (was: Definition | undefined) => Definition,
  ): Promise<{ created: boolean }>;
  get(tenant: string, id: string): Promise<{ definition: Definition; runs: Runs } | undefined>;
  list(tenant: string): Promise<{ id: string; definition: Definition; runs: Runs }[]>;
  /** False if there was none. */
  delete(tenant: string, id: string): Promise<boolean>;
  record(tenant: string, id: string, dueAtMs: number, run: LastRun): Promise<void>;
  tenants(): Promise<string[]>;
}

export function createScheduleStore(redis: Redis): ScheduleStore {
  return {
    async put(tenant, id, make) {
      for (;;) {
        const was = (await redis.hget(definitionsKey(tenant), id)) ?? '';
        const definition = make(was === '' ? undefined : parse(was));
        const keys = [definitionsKey(tenant), tenantsKey];
        const args = [id, was, JSON.stringify(definition), tenant, schedulesMax];
        const put = await redis.eval(putScript, keys.length, ...keys, ...args);
        if (put === 1) return { created: was === '' };
        if (put === -1) {
          throw new PlatformError(
            'schedule_limit_reached',
            `there are ${schedulesMax} schedules already: delete one`,
          );
        }
      }
    },
    async get(tenant, id) {
      const pipeline = redis.pipeline().hget(definitionsKey(tenant), id);
      const fields = [`${id}:count`, `${id}:last`];
      const [text, runs] = resultsOf(await pipeline.hmget(runsKey(tenant), ...fields).exec());
      if (typeof text !== 'string') return undefined;
      const [count, last] = runs as (string | null)[];
      return { definition: parse(text), runs: runsOf(count, last) };
    },
    async list(tenant) {
      const pipeline = redis.pipeline().hgetall(definitionsKey(tenant)).hgetall(runsKey(tenant));
      const [definitions, runs] = resultsOf(await pipeline.exec()) as Record<string, string>[];
      return Object.entries(definitions ?? {})
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .map(([id, text]) => ({
          id,
          definition: parse(text),
          runs: runsOf(runs?.[`${id}:count`], runs?.[`${id}:last`]),
        }));
    },
    async delete(tenant, id) {
      const keys = [definitionsKey(tenant), runsKey(tenant), tenantsKey];
      return (await redis.eval(deleteScript, keys.length, ...keys, id, tenant)) === 1;
    },
    async record(tenant, id, dueAtMs, run) {
      const keys = [definitionsKey(tenant), runsKey(tenant)];
      await redis.eval(recordScript, keys.length, ...keys, id, dueAtMs, JSON.stringify(run));
    },
    tenants: () => redis.smembers(tenantsKey),
  };
}

function parse(text: string): Definition {
  return definitionSchema.parse(JSON.parse(text));
}

function runsOf(count: string | null | undefined, last: string | null | undefined): Runs {
  const run = last == null ? undefined : scheduleSchema.shape.lastRun.parse(JSON.parse(last));
  return { count: Number(count ?? 0), ...(run && { last: run }) };
}

function resultsOf(replies: [Error | null, unknown][] | null): unknown[] {
  return (replies ?? []).map(([error, reply]) => {
    if (error) throw error;
    return reply;
  });
}
