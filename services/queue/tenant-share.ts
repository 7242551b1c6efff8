import type { Redis } from '../shared/redis.ts';
import { fairTurn, letOneIn } from './fair-turn.ts';
import { cancelledField, flowsKey, queueKey } from './job.ts';
import { nodeKey, nodesKey } from './node-directory.ts';
import { heldKey } from './slots.ts';

/*
 * How much of the platform one tenant's invocations may have at once, where there are others: turns are no use to who finds
 * every place taken by programs that run for long. A worker that takes one too many puts it out of workers' sight, and
 * lets one in again when one of that tenant ends. What comes while some are held is held right away, behind them.
 *   oncebox:share-held:<tenant>    sorted set of ids, as the queue is: tenants' priorities count here too
 *   oncebox:share-flows:<tenant>   hash: the tags of its flows among these, and `count`, how many have come
 *   oncebox:share-held             set of tenants that have some
 * All of them are in `oncebox:held` (slots.ts) too.
 */
export const shareHeldKey = (tenant: string) => `oncebox:share-held:${tenant}`;
export const shareFlowsKey = (tenant: string) => `oncebox:share-flows:${tenant}`;
export const sharedTenantsKey = 'oncebox:share-held';

/**
 * For scripts, after `fairTurn`: `holdForShare(held, flows, all, tenants, tenant, id, priority, now, isAgain)`. Who was let in and
 * found no place after all goes before all others.
 */
export const holdForShare = `
local function holdForShare(held, flows, all, tenants, tenant, id, priority, now, isAgain)
  local flow = tenant .. '/' .. priority
  local tags = redis.call('HMGET', flows, 'top', flow)
  local top, last = tonumber(tags[1]) or 0, tonumber(tags[2]) or 0
  local virtual = virtualTime(held, top)
  local tag = isAgain and math.max(0, virtual) or giveTag(flows, flow, costs[priority], virtual, last, top)
  -- BullMQ's own counter begins anew whenever its queue is empty.
  local count = redis.call('HINCRBY', flows, 'count', 1)
  redis.call('ZADD', held, string.format('%.0f', tag * unit + count % unit), id)
  redis.call('ZADD', all, now, id)
  redis.call('SADD', tenants, tenant)
end
`;

/**
 * `roomOf(active, nodes, jobs, node, tenant, own, id)`: how many more of the tenant may run, those that are active counted, but for `id`;
 * no more than none. All but an eighth of all workers' places, or all but one; where workers have one place each, all.
 */
const roomOf = `
local function roomOf(active, nodes, jobs, node, tenant, own, id)
  local places = 0
  for _, name in ipairs(redis.call('SMEMBERS', nodes)) do
    local info = redis.call('GET', node .. name)
    if info then places = places + (cjson.decode(info).concurrency or 0) end
  end
  places = math.max(places, tonumber(own))
  local room = places > 1 and places - math.max(1, math.floor(places / 8)) or places
  for _, other in ipairs(redis.call('LRANGE', active, 0, -1)) do
    if room <= 0 then return 0 end
    if other ~= id then
      local about = redis.call('HGET', jobs .. other, 'about')
      if about and cjson.decode(about).tenant == tenant then room = room - 1 end
    end
  end
  return room
end
`;

/**
 * Holds a job that its worker has just taken and not begun, if its tenant has its share, and gives its flow its turn back. No attempt of it is counted.
 * KEYS: job, active, stalled, flows, held of the tenant, their flows, all held, tenants, nodes. ARGV: id, token,
 * tenant, Unix time in ms, prefix of job keys, of nodes' keys, this worker's places. Returns `held`, `runs`, or `taken` when it is not the token's.
 */
const holdScript = `${fairTurn}${holdForShare}${roomOf}
if redis.call('GET', KEYS[1] .. ':lock') ~= ARGV[2] then return 'taken' end
-- It ends at once; later, its worker would not know of it any more.
if redis.call('HEXISTS', KEYS[1], '${cancelledField}') == 1 then return 'runs' end
if roomOf(KEYS[2], KEYS[9], ARGV[5], ARGV[6], ARGV[3], ARGV[7], ARGV[1]) > 0 then return 'runs' end
local job = redis.call('HMGET', KEYS[1], 'about', 'share')
local priority = job[1] and cjson.decode(job[1]).priority
-- A newer gateway may have others.
if not costs[priority or ''] then priority = 'normal' end
-- What frees memory goes first: Redis refuses nothing that comes after it, however full it is.
redis.call('DEL', KEYS[1] .. ':lock')
redis.call('SREM', KEYS[3], ARGV[1])
if redis.call('LREM', KEYS[2], 1, ARGV[1]) == 0 then return 'taken' end
local flow = ARGV[3] .. '/' .. priority
if (tonumber(redis.call('HGET', KEYS[4], flow)) or 0) > costs[priority] then
  redis.call('HINCRBY', KEYS[4], flow, -costs[priority])
end
holdForShare(KEYS[5], KEYS[6], KEYS[7], KEYS[8], ARGV[3], ARGV[1], priority, ARGV[4], job[2])
return 'held'`;

/**
 * Lets in who is held, as far as there is room, each behind what its flow has waiting.
 * KEYS: held of the tenant, their flows, all held, tenants, active, nodes, prioritized, flows, counter, marker. ARGV: tenant,
 * prefix of job keys, of nodes' keys, this worker's places, how many at most, 1 where nobody shares: then all may. Returns how many are still held.
 */
const letInScript = `${fairTurn}${letOneIn}${roomOf}
local count = tonumber(ARGV[5])
if ARGV[6] ~= '1' and redis.call('EXISTS', KEYS[1]) == 1 then
  local room = roomOf(KEYS[5], KEYS[6], ARGV[2], ARGV[3], ARGV[1], ARGV[4], '')
  -- Those that were let in before and not taken yet are not to become more and more.
  for _, id in ipairs(room > 0 and redis.call('ZRANGE', KEYS[7], 0, 99) or {}) do
    if redis.call('HGET', ARGV[2] .. id, 'share') == ARGV[1] then room = room - 1 end
  end
  count = math.min(count, room)
end
while count > 0 do
  local id = redis.call('ZPOPMIN', KEYS[1])[1]
  if not id then break end
  redis.call('ZREM', KEYS[3], id)
  if letOneIn(ARGV[2] .. id, id, ARGV[1], KEYS[8], KEYS[7], KEYS[9], KEYS[10]) then
    redis.call('HSET', ARGV[2] .. id, 'share', ARGV[1])
    count = count - 1
  end
end
local left = redis.call('ZCARD', KEYS[1])
if left == 0 then
  redis.call('SREM', KEYS[4], ARGV[1])
  redis.call('DEL', KEYS[2])
end
return left`;

const letInMost = 100;

export interface ShareOptions {
  tenant: string;
  /** Of the worker that asks, for where the directory of nodes does not have it. */
  places: number;
}

/** `taken`: the job is not ours any more. */
export async function holdIfCrowded(
  redis: Redis,
  { id, token, tenant, places }: ShareOptions & { id: string; token: string },
): Promise<'held' | 'runs' | 'taken'> {
  const keys = [
    ...[id, 'active', 'stalled'].map(queueKey),
    flowsKey,
    shareHeldKey(tenant),
    shareFlowsKey(tenant),
    heldKey,
    sharedTenantsKey,
    nodesKey,
  ];
  const args = [id, token, tenant, Date.now(), queueKey(''), nodeKey(''), places];
  return (await redis.eval(holdScript, keys.length, ...keys, ...args)) as 'held' | 'runs' | 'taken';
}

/** Lets in one, or as many as there is room for. Returns how many of the tenant are still held. */
export async function letTenantIn(
  redis: Redis,
  { tenant, places, most = letInMost, isShared }: ShareOptions & { most?: number; isShared: boolean },
): Promise<number> {
  const keys = [
    shareHeldKey(tenant),
    shareFlowsKey(tenant),
    heldKey,
    sharedTenantsKey,
    queueKey('active'),
    nodesKey,
    queueKey('prioritized'),
    flowsKey,
    ...['pc', 'marker'].map(queueKey),
  ];
  const args = [tenant, queueKey(''), nodeKey(''), places, most, isShared ? '0' : '1'];
  return Number(await redis.eval(letInScript, keys.length, ...keys, ...args));
}

/** Those who have invocations that are held for their share. */
export const tenantsHeld = (redis: Redis): Promise<string[]> => redis.smembers(sharedTenantsKey);
