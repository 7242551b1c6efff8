/*
 * The registry's writes, each one step for everybody else on Redis. The keys' layout is in keys.ts.
 */

/**
 * Points a function's name at a version, and notes where it pointed before: the last 100 or so of these.
 * In a script whose KEYS[1] is the function's hash.
 */
const pointAt = `
local function pointAt(version)
  local from = redis.call('HGET', KEYS[1], 'current')
  if from and from ~= version then
    local history = (redis.call('HGET', KEYS[1], 'history') or '') .. from .. ' '
    if #history > 500 then history = string.gsub(string.sub(history, -500), '^%d* ', '') end
    redis.call('HSET', KEYS[1], 'history', history)
  end
  redis.call('HSET', KEYS[1], 'current', version)
end`;

/**
 * Stores a version unless the function has one of this digest, and makes it the current one.
 * KEYS: function hash, tenant's names, layer, layer's users, tenants. ARGV: name, digest, version JSON, layer hex or empty
 * where the image holds the code, tar, JSON of the image's texts, function among a layer's users, tenant, names of
 * secrets with blanks between them.
 * Returns {1 if new else 0, version number, version JSON}.
 */
export const deployScript = `${pointAt}
local version = redis.call('HGET', KEYS[1], 'digest:' .. ARGV[2])
local created = 0
if not version then
  created = 1
  version = tostring(redis.call('HINCRBY', KEYS[1], 'last', 1))
  redis.call('HSET', KEYS[1], 'version:' .. version, ARGV[3], 'digest:' .. ARGV[2], version,
    'image:' .. version, ARGV[6])
  redis.call('SADD', KEYS[2], ARGV[1])
  redis.call('SADD', KEYS[5], ARGV[8])
  if ARGV[9] ~= '' then redis.call('HSET', KEYS[1], 'secrets:' .. version, ARGV[9]) end
  if ARGV[4] ~= '' then
    redis.call('HSET', KEYS[1], 'layer:' .. version, ARGV[4])
    redis.call('SADD', KEYS[4], ARGV[7])
    redis.call('SETNX', KEYS[3], ARGV[5])
  end
end
pointAt(version)
return {created, tonumber(version), redis.call('HGET', KEYS[1], 'version:' .. version)}`;

/**
 * Points the name at a version, or at the one that it pointed at before. What a release without a history deployed is gone
 * through by number.
 * KEYS: function hash. ARGV: version number, or empty for the one before.
 * Returns {version number, version JSON}, or what is not there: 'function', 'version'.
 */
export const rollbackScript = `${pointAt}
local current = redis.call('HGET', KEYS[1], 'current')
if not current then return 'function' end
local function has(version) return redis.call('HEXISTS', KEYS[1], 'version:' .. version) == 1 end
local function found(version) return {tonumber(version), redis.call('HGET', KEYS[1], 'version:' .. version)} end
if ARGV[1] ~= '' then
  if not has(ARGV[1]) then return 'version' end
  pointAt(ARGV[1])
  return found(ARGV[1])
end
local history = redis.call('HGET', KEYS[1], 'history') or ''
local before
while history ~= '' and not before do
  local rest, last = string.match(history, '^(.-)(%d+) $')
  history = rest
  if last ~= current and has(last) then before = last end
end
if not before then
  for version = tonumber(current) - 1, 1, -1 do
    if has(version) then before = tostring(version) break end
  end
end
if not before then return 'version' end
redis.call('HSET', KEYS[1], 'history', history, 'current', before)
return found(before)`;

/**
 * Lets go of a version's layer, in a script whose KEYS[1] is the function's hash: of the function's other versions none may
 * use it.
 */
const releaseLayer = `
local function releaseLayer(hex, user, layerPrefix, usersPrefix)
  redis.call('SREM', usersPrefix .. hex, user)
  if redis.call('EXISTS', usersPrefix .. hex) == 0 then redis.call('DEL', layerPrefix .. hex) end
end`;

/**
 * Removes a version, unless the name or an alias points at it.
 * KEYS: function hash. ARGV: version number, function among a layer's users, prefix of layer keys, prefix of the keys of
 * layers' users.
 * Returns 'done', what is not there: 'function', 'version', or what uses it: 'current', 'alias:<name>'.
 */
export const deleteVersionScript = `${releaseLayer}
local current = redis.call('HGET', KEYS[1], 'current')
if not current then return 'function' end
local text = redis.call('HGET', KEYS[1], 'version:' .. ARGV[1])
if not text then return 'version' end
if current == ARGV[1] then return 'current' end
local layer = redis.call('HGET', KEYS[1], 'layer:' .. ARGV[1])
local isShared = false
for _, field in ipairs(redis.call('HKEYS', KEYS[1])) do
  if string.sub(field, 1, 6) == 'alias:' then
    local alias = cjson.decode(redis.call('HGET', KEYS[1], field))
    local isUsed = tostring(alias.version) == ARGV[1]
    for _, share in ipairs(alias.shares) do isUsed = isUsed or tostring(share[1]) == ARGV[1] end
    if isUsed then return field end
  elseif layer and string.sub(field, 1, 6) == 'layer:' and field ~= 'layer:' .. ARGV[1] then
    isShared = isShared or redis.call('HGET', KEYS[1], field) == layer
  end
end
local digest = 'digest:' .. cjson.decode(text).digest
if redis.call('HGET', KEYS[1], digest) == ARGV[1] then redis.call('HDEL', KEYS[1], digest) end
redis.call('HDEL', KEYS[1], 'version:' .. ARGV[1], 'image:' .. ARGV[1], 'layer:' .. ARGV[1], 'secrets:' .. ARGV[1])
local labels = 'label:' .. ARGV[1] .. ':'
for _, field in ipairs(redis.call('HKEYS', KEYS[1])) do
  if string.sub(field, 1, #labels) == labels then redis.call('HDEL', KEYS[1], field) end
end
if layer and not isShared then releaseLayer(layer, ARGV[2], ARGV[3], ARGV[4]) end
return 'done'`;

/**
 * Removes a function, and those of its layers that no other function uses.
 * KEYS: function hash, tenant's names, tenants. ARGV: name, function among a layer's users, prefix of layer keys, prefix of
 * the keys of layers' users, tenant.
 * Returns 1, or 0 if there is no such function.
 */
export const deleteScript = `${releaseLayer}
if redis.call('SREM', KEYS[2], ARGV[1]) == 0 then return 0 end
if redis.call('EXISTS', KEYS[2]) == 0 then redis.call('SREM', KEYS[3], ARGV[5]) end
for _, field in ipairs(redis.call('HKEYS', KEYS[1])) do
  if string.sub(field, 1, 6) == 'layer:' then
    releaseLayer(redis.call('HGET', KEYS[1], field), ARGV[2], ARGV[3], ARGV[4])
  end
end
redis.call('DEL', KEYS[1])
return 1`;

/**
 * KEYS: function hash. ARGV: alias, JSON of it, how many aliases a function may have, then the numbers of its versions.
 * Returns 'done', what is not there: 'function' or the version's number, or 'full'.
 */
export const putAliasScript = `
if redis.call('HEXISTS', KEYS[1], 'current') == 0 then return 'function' end
for i = 4, #ARGV do
  if redis.call('HEXISTS', KEYS[1], 'version:' .. ARGV[i]) == 0 then return ARGV[i] end
end
if redis.call('HEXISTS', KEYS[1], 'alias:' .. ARGV[1]) == 0 then
  local count = 0
  for _, field in ipairs(redis.call('HKEYS', KEYS[1])) do
    if string.sub(field, 1, 6) == 'alias:' then count = count + 1 end
  end
  if count >= tonumber(ARGV[3]) then return 'full' end
end
redis.call('HSET', KEYS[1], 'alias:' .. ARGV[1], ARGV[2])
return 'done'`;

/**
 * The hot read: a version with what decides how it is called.
 * KEYS: function hash, tenant's secrets. ARGV: version number, alias, or empty for the current version; a number from 0 to below 1, by which an
 * alias with weights chooses.
 * Returns {version number, version JSON, names of secrets that are not there, each with a blank before it}, or what is not
 * there: nil (the function), 'alias', 'version'.
 */
export const resolveScript = `
local version = ARGV[1]
if version == '' then
  version = redis.call('HGET', KEYS[1], 'current')
  if not version then return nil end
elseif not string.find(version, '^%d') then
  local text = redis.call('HGET', KEYS[1], 'alias:' .. version)
  if not text then return redis.call('EXISTS', KEYS[1]) == 1 and 'alias' or nil end
  local alias, draw = cjson.decode(text), tonumber(ARGV[2])
  version = tostring(alias.version)
  for _, share in ipairs(alias.shares) do
    if draw < share[2] then version = tostring(share[1]) break end
  end
end
local found = redis.call('HMGET', KEYS[1], 'version:' .. version, 'secrets:' .. version)
if not found[1] then return redis.call('EXISTS', KEYS[1]) == 1 and 'version' or nil end
local missing = ''
for name in string.gmatch(found[2] or '', '[^ ]+') do
  if redis.call('HEXISTS', KEYS[2], name) == 0 then missing = missing .. ' ' .. name end
end
return {version, found[1], missing}`;

/**
 * KEYS: function hash. ARGV: version number, or empty for the function's own, how many there may be, then for each label its
 * name, its value, and 1, or 0 where it is to go.
 * Returns 'done', what is not there: 'function', 'version', or 'full'.
 */
export const putLabelsScript = `
if redis.call('HEXISTS', KEYS[1], 'current') == 0 then return 'function' end
if ARGV[1] ~= '' and redis.call('HEXISTS', KEYS[1], 'version:' .. ARGV[1]) == 0 then return 'version' end
local prefix = 'label:' .. ARGV[1] .. ':'
local names, count = {}, 0
for _, field in ipairs(redis.call('HKEYS', KEYS[1])) do
  if string.sub(field, 1, #prefix) == prefix then names[field] = true end
end
for i = 3, #ARGV, 3 do names[prefix .. ARGV[i]] = ARGV[i + 2] == '1' or nil end
for _ in pairs(names) do count = count + 1 end
if count > tonumber(ARGV[2]) then return 'full' end
for i = 3, #ARGV, 3 do
  if ARGV[i + 2] == '1' then redis.call('HSET', KEYS[1], prefix .. ARGV[i], ARGV[i + 1])
  else redis.call('HDEL', KEYS[1], prefix .. ARGV[i]) end
end
return 'done'`;
