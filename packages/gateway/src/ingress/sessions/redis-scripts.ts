/**
 * What the store does in Redis, each in one step. Keys, all of one slot:
 *
 *   {autoglm:sessions}:used            sorted set: session → when it was last used, ms
 *   {autoglm:sessions}:bytes           hash: session → bytes it is counted with; `total`: of all
 *   {autoglm:sessions}:of:<tenant>     sorted set: the tenant's sessions, as in `used`
 *   {autoglm:sessions}:is:<session>    hash: revision, body, created
 *
 * where a session is `<tenant>:<id>`. Whether a session has expired is told by the time that the caller gives; Redis' own expiry only cleans up behind
 * gateways that have all gone.
 */
const common = `
local base = '{autoglm:sessions}:'
local function drop(session)
  local bytes = redis.call('HGET', base .. 'bytes', session)
  redis.call('DEL', base .. 'is:' .. session)
  redis.call('ZREM', base .. 'used', session)
  redis.call('ZREM', base .. 'of:' .. string.match(session, '^(.*):'), session)
  if bytes then
    redis.call('HDEL', base .. 'bytes', session)
    redis.call('HINCRBY', base .. 'bytes', 'total', -bytes)
  end
end
local function use(tenant, session, now, ttl)
  redis.call('ZADD', base .. 'used', now, session)
  redis.call('ZADD', base .. 'of:' .. tenant, now, session)
  for _, key in ipairs({ 'used', 'bytes', 'of:' .. tenant, 'is:' .. session }) do redis.call('PEXPIRE', base .. key, 2 * ttl) end
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
  local before = redis.call('HGET', base .. 'bytes', session) or 0
  redis.call('HSET', base .. 'bytes', session, bytes)
  redis.call('HINCRBY', base .. 'bytes', 'total', bytes - before)
end
local function makeRoom(sessionsMax, bytesMax)
  for _ = 1, 1000 do
    if redis.call('ZCARD', base .. 'used') <= sessionsMax and tonumber(redis.call('HGET', base .. 'bytes', 'total') or 0) <= bytesMax then return end
    local oldest = redis.call('ZRANGE', base .. 'used', 0, 0)
    if not oldest[1] then return end
    drop(oldest[1])
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
makeRoom(tonumber(ARGV[6]), tonumber(ARGV[7]))
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
makeRoom(tonumber(ARGV[5]), tonumber(ARGV[6]))
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
