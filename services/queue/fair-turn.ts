import type { Priority } from '../../sdk/contract/invocation-options.ts';

/** What one turn costs a flow: of two that always wait, one gets as many turns more as it pays less. */
export const costs: Record<Priority, number> = { high: 1, normal: 2, low: 6 };
const costsInLua = Object.entries(costs).map(([priority, cost]) => `${priority} = ${cost}`);

/**
 * Lua for scripts that give turns, as admission.ts has them. `virtualTime(prioritized, top)` is just before the head, or
 * the greatest tag where nobody waits. `giveTag(flows, flow, cost, now, last, top)` has the flow pay for its next turn: its
 * last tag, or the virtual time where that is later, and the cost. Returns the tag.
 */
export const fairTurn = `
local unit = 0x100000000
local costs = { ${costsInLua.join(', ')} }
local function virtualTime(prioritized, top)
  local head = redis.call('ZRANGE', prioritized, 0, 0, 'WITHSCORES')
  return head[2] and math.floor(tonumber(head[2]) / unit) - 1 or top
end
local function giveTag(flows, flow, cost, now, last, top)
  local tag = math.min(math.max(now, last) + tonumber(cost), 0x1ffffe)
  redis.call('HSET', flows, flow, tag, 'top', math.max(top, tag))
  return tag
end
`;

/**
 * For scripts, after `fairTurn`: `letOneIn(job, id, tenant, flows, prioritized, counter, marker)` puts one that was held out of workers'
 * sight behind what its flow has waiting. False where the job is gone.
 */
export const letOneIn = `
local function letOneIn(job, id, tenant, flows, prioritized, counter, marker)
  if redis.call('EXISTS', job) == 0 then return false end
  -- One of an older release may not say it, and one of a newer have another.
  local about = redis.call('HGET', job, 'about')
  local priority = about and cjson.decode(about).priority
  if not costs[priority or ''] then priority = 'normal' end
  local flow = tenant .. '/' .. priority
  local tags = redis.call('HMGET', flows, 'top', flow)
  local top, last = tonumber(tags[1]) or 0, tonumber(tags[2]) or 0
  local tag = giveTag(flows, flow, costs[priority], virtualTime(prioritized, top), last, top)
  redis.call('HSET', job, 'priority', tag)
  redis.call('ZADD', prioritized, string.format('%.0f', tag * unit + redis.call('INCR', counter) % unit), id)
  redis.call('ZADD', marker, 0, '0')
  return true
end
`;
