/**
 * Lua for scripts that give turns, as admission.ts has them. `virtualTime(prioritized, top)` is just before the head, or
 * the greatest tag where nobody waits. `giveTag(flows, flow, cost, now, last, top)` has the flow pay for its next turn: its
 * last tag, or the virtual time where that is later, and the cost. Returns the tag.
 */
export const fairTurn = `
local unit = 0x100000000
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
