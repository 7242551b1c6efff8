import type { Invocation } from '../../sdk/contract/invocation.ts';
import { defaultPriority } from '../../sdk/contract/invocation-options.ts';
import type { Redis } from '../shared/redis.ts';
import { flowOf } from './admission.ts';
import { costs } from './fair-turn.ts';
import {
  cancelledField,
  cancelledIndexKey,
  cancelledKey,
  flowsKey,
  type InvocationJob,
  queueKey,
} from './job.ts';
import { heldKey, slotKeys } from './slots.ts';
import { shareHeldKey } from './tenant-share.ts';
import { keepNewest } from './trim-index.ts';

/**
 * Takes a job off what waits and records it as cancelled, atomically: whoever removes it from there owns it, so a worker
 * either never sees it or keeps it. Its flow gets its turn back. The job itself goes in the same step: one that nothing
 * lists and that never ends would have its slot and its place for ever.
 * KEYS: cancelled record, index of these, flows, prioritized, delayed, wait, all held, held of the function, job, held for the tenant's share. ARGV: job id, record JSON, time to keep it in ms,
 * Unix time in ms, prefix of cancelled records, how many are kept, flow, its cost. Returns 1 if taken.
 */
const script = `${keepNewest}
local taken = redis.call('ZREM', KEYS[4], ARGV[1])
if taken == 1 then
  local last = tonumber(redis.call('HGET', KEYS[3], ARGV[7])) or 0
  if last > tonumber(ARGV[8]) then redis.call('HINCRBY', KEYS[3], ARGV[7], -ARGV[8]) end
elseif redis.call('ZREM', KEYS[7], ARGV[1]) == 1 then
  redis.call('ZREM', KEYS[8], ARGV[1])
  redis.call('ZREM', KEYS[10], ARGV[1])
elseif redis.call('ZREM', KEYS[5], ARGV[1]) == 0 and redis.call('LREM', KEYS[6], 1, ARGV[1]) == 0 then
  if redis.call('EXISTS', KEYS[9]) == 1 and redis.call('HEXISTS', KEYS[9], 'finishedOn') == 0 then
    -- So that it is not put off and run again: the worker that is told may die first, or be done with this run already.
    redis.call('HSET', KEYS[9], '${cancelledField}', 1)
  end
  return 0
end
redis.call('DEL', KEYS[9], KEYS[9] .. ':logs')
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
keepNewest(KEYS[2], ARGV[1], ARGV[4], ARGV[3], ARGV[6], ARGV[5])
return 1`;

/** False where it does not wait (any more). Else its job is gone; a slot that it had is found by whoever sweeps these. */
export async function claimWaiting(
  redis: Redis,
  { job, record, kept, keptMs }: { job: InvocationJob; record: Invocation; kept: number; keptMs: number },
): Promise<boolean> {
  const { id } = record;
  const keys = [
    cancelledKey(id),
    cancelledIndexKey,
    flowsKey,
    ...['prioritized', 'delayed', 'wait'].map(queueKey),
    heldKey,
    slotKeys(job)[2] ?? '',
    queueKey(id),
    shareHeldKey(job.tenant),
  ];
  const claimed = await redis.eval(
    script,
    keys.length,
    ...keys,
    id,
    JSON.stringify({ ...record, tenant: job.tenant }),
    keptMs,
    Date.now(),
    cancelledKey(''),
    kept,
    flowOf(job),
    costs[job.priority ?? defaultPriority],
  );
  return claimed === 1;
}
