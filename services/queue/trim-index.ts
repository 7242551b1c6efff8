/**
 * Lua for scripts that keep the newest of something: `keepNewest(index, id, now, keptMs, most, prefix)` names `id` in the
 * sorted set `index` by the Unix time in ms, drops the names of what has expired, and of the rest the oldest beyond `most`, with
 * their keys, which are `prefix` and the id.
 */
export const keepNewest = `
local function keepNewest(index, id, now, keptMs, most, prefix)
  redis.call('ZREMRANGEBYSCORE', index, '-inf', now - keptMs)
  redis.call('ZADD', index, now, id)
  local tooMany = redis.call('ZCARD', index) - most
  if tooMany <= 0 then return end
  for _, oldest in ipairs(redis.call('ZRANGE', index, 0, tooMany - 1)) do
    redis.call('DEL', prefix .. oldest)
    redis.call('ZREM', index, oldest)
  end
end
`;
