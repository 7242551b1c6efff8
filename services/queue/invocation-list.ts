import type { InvocationSummary } from '../../sdk/contract/dead-letter.ts';
import type { Invocation } from '../../sdk/contract/invocation.ts';
import type { InvocationListQuery } from '../../sdk/contract/invocation-list.ts';
import type { Redis } from '../shared/redis.ts';
import { queueKey } from './job.ts';
import { lostInvocation, lostReason, storedInvocationSchema, unfinishedInvocation } from './record.ts';

/** Sorted set of a tenant's ids, by when they were accepted, Unix time in ms; some may have no record any more. */
export const tenantListKey = (tenant: string) => `oncebox:invocations-of:${tenant}`;

/** So many ids are gone through for one list at most, and so many at a time: a record may have megabytes. */
const readMax = 2_000;
const readAtOnce = 20;

export interface InvocationListOptions {
  redis: Redis;
  readCancelled: (id: string) => Promise<Invocation | undefined>;
}

export function createInvocationList({ redis, readCancelled }: InvocationListOptions) {
  async function read(id: string): Promise<Invocation | undefined> {
    const [[, fields], [, isLocked]] = (await redis
      .pipeline()
      .hmget(queueKey(id), 'about', 'atm', 'finishedOn', 'failedReason', 'returnvalue')
      .exists(`${queueKey(id)}:lock`)
      .exec()) as [[Error | null, (string | null)[]], [Error | null, number]];
    const [about, attempts, finishedOn, failedReason, returned] = fields;
    // The job is gone, or from an older release.
    if (about == null) return readCancelled(id);
    const job = JSON.parse(about);
    const attempt = Number(attempts ?? 0) + 1;
    if (finishedOn == null)
      return { ...unfinishedInvocation(id, job, isLocked ? 'running' : 'queued'), attempt };
    const parsed = storedInvocationSchema.safeParse(returned == null ? undefined : JSON.parse(returned));
    if (parsed.success) return parsed.data;
    return lostInvocation(id, job, lostReason(failedReason ?? 'the worker returned no record'));
  }

  return async function list(tenant: string, query: InvocationListQuery): Promise<InvocationSummary[]> {
    const found: InvocationSummary[] = [];
    const ids = await redis.zrevrange(tenantListKey(tenant), '0', String(readMax - 1));
    for (let from = 0; from < ids.length && found.length < query.limit; from += readAtOnce) {
      const records = await Promise.all(ids.slice(from, from + readAtOnce).map(read));
      for (const record of records) {
        if (!record || (query.status !== undefined && record.status !== query.status)) continue;
        if (query.function !== undefined && record.function?.name !== query.function) continue;
        const { stdout: _stdout, stderr: _stderr, ...summary } = record;
        found.push(summary);
      }
    }
    return found.slice(0, query.limit);
  };
}
