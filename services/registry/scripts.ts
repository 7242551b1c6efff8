/*
 * The registry's writes and its hot read, each one step for everybody else on Redis. The keys' layout is in
 * registry.ts.
 */

/**
 * Stores a version unless the function has one of this digest, and makes it the current one.
 * KEYS: names, function hash, layer, layer's users. ARGV: name, digest, version JSON, layer hex or empty where the image
 * holds the code, tar, JSON of the image's texts.
 * Returns {1 if new else 0, version number, version JSON}.
 */
export const deployScript = `
local version = redis.call('HGET', KEYS[2], 'digest:' .. ARGV[2])
local created = 0
if not version then
  created = 1
  version = redis.call('HINCRBY', KEYS[2], 'last', 1)
  redis.call('HSET', KEYS[2], 'version:' .. version, ARGV[3], 'digest:' .. ARGV[2], version,
    'image:' .. version, ARGV[6])
  redis.call('SADD', KEYS[1], ARGV[1])
  if ARGV[4] ~= '' then
    redis.call('HSET', KEYS[2], 'layer:' .. version, ARGV[4])
    redis.call('SADD', KEYS[4], ARGV[1])
    redis.call('SETNX', KEYS[3], ARGV[5])
  end
end
redis.call('HSET', KEYS[2], 'current', version)
return {created, tonumber(version), redis.call('HGET', KEYS[2], 'version:' .. version)}`;

/**
 * KEYS: function hash. Returns {version number, version JSON} of the current version, or nil.
 */
export const resolveScript = `
local version = redis.call('HGET', KEYS[1], 'current')
if not version then return nil end
return {version, redis.call('HGET', KEYS[1], 'version:' .. version)}`;

/**
 * Removes a function, and those of its layers that no other function uses.
 * KEYS: names, function hash. ARGV: name, prefix of layer keys, prefix of the keys of layers' users.
 * Returns 1, or 0 if there is no such function.
 */
export const deleteScript = `
if redis.call('SREM', KEYS[1], ARGV[1]) == 0 then return 0 end
local fields = redis.call('HGETALL', KEYS[2])
for i = 1, #fields, 2 do
  if string.sub(fields[i], 1, 6) == 'layer:' then
    local users = ARGV[3] .. fields[i + 1]
    redis.call('SREM', users, ARGV[1])
    if redis.call('EXISTS', users) == 0 then redis.call('DEL', ARGV[2] .. fields[i + 1]) end
  end
end
redis.call('DEL', KEYS[2])
return 1`;
