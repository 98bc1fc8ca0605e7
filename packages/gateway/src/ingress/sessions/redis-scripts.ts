/**
 * What the store does in Redis, each in one step. Keys, all of one slot:
 *
 *   {autoglm:sessions}:used            sorted set: session → when it was last used, ms
 *   {autoglm:sessions}:bytes           hash: session → bytes it is counted with; `total`: of all
 *   {autoglm:sessions}:of:<tenant>     sorted set: the tenant's sessions, as in `used`
 *   {autoglm:sessions}:by:<key>        sorted set: the sessions of all tenants of a key, as in `used`
 *   {autoglm:sessions}:keys:sessions   sorted set: key → its sessions
 *   {autoglm:sessions}:keys:bytes      sorted set: key → their bytes
 *   {autoglm:sessions}:is:<session>    hash: revision, body, created
 *
 * where a session is `<tenant>:<id>`, and a tenant `<key>` or `<key>.<name>`. Whether a session has expired is told by the time that
 * the caller gives; Redis' own expiry only cleans up behind gateways that have all gone.
 */
const common = `
local base = '{autoglm:sessions}:'
local function keyOf(session) return string.match(session, '^[^.:]*') end
local function weigh(key, sessions, bytes)
  redis.call('ZINCRBY', base .. 'keys:sessions', sessions, key)
  redis.call('ZINCRBY', base .. 'keys:bytes', bytes, key)
end
local function drop(session)
  local key, bytes = keyOf(session), redis.call('HGET', base .. 'bytes', session)
  redis.call('DEL', base .. 'is:' .. session)
  redis.call('ZREM', base .. 'used', session)
  redis.call('ZREM', base .. 'of:' .. string.match(session, '^(.*):'), session)
  redis.call('ZREM', base .. 'by:' .. key, session)
  if bytes then
    redis.call('HDEL', base .. 'bytes', session)
    redis.call('HINCRBY', base .. 'bytes', 'total', -bytes)
    weigh(key, -1, -bytes)
  end
  if redis.call('EXISTS', base .. 'by:' .. key) == 0 then
    for _, of in ipairs({ 'sessions', 'bytes' }) do redis.call('ZREM', base .. 'keys:' .. of, key) end
  end
end
local function use(tenant, session, now, ttl)
  local sets = { 'used', 'of:' .. tenant, 'by:' .. keyOf(session) }
  for _, set in ipairs(sets) do redis.call('ZADD', base .. set, now, session) end
  for _, key in ipairs({ 'bytes', 'keys:sessions', 'keys:bytes', 'is:' .. session, unpack(sets) }) do redis.call('PEXPIRE', base .. key, 2 * ttl) end
end
local function expire(now, ttl)
  local due = redis.call('ZRANGEBYSCORE', base .. 'used', '-inf', now - ttl, 'LIMIT', 0, 1000)
  for _, session in ipairs(due) do drop(session) end
end
local function find(session, now, ttl)
  local used = redis.call('ZSCORE', base .. 'used', session)
  if not used then return nil end
  local revision = redis.call('HGET', base .. 'is:' .. session, 'revision')
  if revision and tonumber(used) > now - ttl then return revision end
  drop(session)
  return nil
end
local function count(session, bytes)
  local before = redis.call('HGET', base .. 'bytes', session)
  redis.call('HSET', base .. 'bytes', session, bytes)
  redis.call('HINCRBY', base .. 'bytes', 'total', bytes - (before or 0))
  weigh(keyOf(session), before and 0 or 1, bytes - (before or 0))
end
local function oldestOf(share, kept)
  for _, key in ipairs(redis.call('ZREVRANGE', base .. 'keys:' .. share, 0, 1)) do
    for _, session in ipairs(redis.call('ZRANGE', base .. 'by:' .. key, 0, 1)) do
      if session ~= kept then return session end
    end
  end
end
local function makeRoom(written, sessionsMax, bytesMax)
  for _ = 1, 1000 do
    local tooMany = redis.call('ZCARD', base .. 'used') > sessionsMax
    if not tooMany and tonumber(redis.call('HGET', base .. 'bytes', 'total') or 0) <= bytesMax then return end
    local oldest = oldestOf(tooMany and 'sessions' or 'bytes', written)
    if not oldest then return end
    drop(oldest)
  end
end
local tenant, session, now, ttl = ARGV[1], ARGV[1] .. ':' .. ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
`;

/** Each is given a key of the slot, then tenant, id, now and time to live, then its own. */
export const sessionScripts = {
  /** perTenantMax, sessionsMax, bytesMax, revision, body, bytes → 1, or 0: the tenant has too many. */
  sessionCreate: `${common}
expire(now, ttl)
if redis.call('ZCARD', base .. 'of:' .. tenant) >= tonumber(ARGV[5]) then return 0 end
redis.call('HSET', base .. 'is:' .. session, 'revision', ARGV[8], 'body', ARGV[9], 'created', ARGV[3])
count(session, tonumber(ARGV[10]))
use(tenant, session, now, ttl)
makeRoom(session, tonumber(ARGV[6]), tonumber(ARGV[7]))
return 1`,
  /** → body, revision, created; or nothing. */
  sessionRead: `${common}
if not find(session, now, ttl) then return false end
use(tenant, session, now, ttl)
return redis.call('HMGET', base .. 'is:' .. session, 'body', 'revision', 'created')`,
  /** sessionsMax, bytesMax, expected revision, revision, body, bytes → replaced, changed or absent. */
  sessionReplace: `${common}
expire(now, ttl)
local revision = find(session, now, ttl)
if not revision then return 'absent' end
use(tenant, session, now, ttl)
if revision ~= ARGV[7] then return 'changed' end
redis.call('HSET', base .. 'is:' .. session, 'revision', ARGV[8], 'body', ARGV[9])
count(session, tonumber(ARGV[10]))
makeRoom(session, tonumber(ARGV[5]), tonumber(ARGV[6]))
return 'replaced'`,
  /** revision, or an empty string for whatever it is → removed, changed or absent. */
  sessionRemove: `${common}
local revision = find(session, now, ttl)
if not revision then return 'absent' end
if ARGV[5] ~= '' and revision ~= ARGV[5] then return 'changed' end
drop(session)
return 'removed'`,
} as const;

/** A key of the slot that all the others are in. */
export const slotKey = '{autoglm:sessions}:used';
