-- One change of a group: store it, number it, keep it for those who miss it, tell those who watch. All or nothing, in one order.
--
-- KEYS  items, head, places, log of the group
-- ARGV  1 what to do, 2 a fresh epoch, 3 how many changes are kept, 4 for how long (ms), 5 bytes of them, 6 PUBLISH or SPUBLISH,
--       7 channel of changes, 8 channel of births, 9 the group's name, and then
--         set       10 item, 11 value
--         delete    10 item
--         update    10 item, 11 new value, 12 the old one that it was made of (not there: there was no item)
--         record    10 item ('' and no 13 there: none), 11 kind, 12 first part, 13 second part, 14 '1' where there is an item
--         position
--         renew     10 the epoch that must not go on
local items, head, places, log = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local what, item = ARGV[1], ARGV[10]

local old = false
if what == 'set' or what == 'delete' or what == 'update' then
  old = redis.call('HGET', items, item)
  if what == 'update' and old ~= (ARGV[12] or false) then return { 0, old } end
  if what == 'delete' and not old then return { 1, false, 0 } end
end

-- A head outlasts the items of its group by this long, so that numbers and times go on where the group comes back.
local FADES = 7 * 24 * 3600 * 1000
-- A new group keeps more, until those who watch its whole stream have heard of it and read what it began with.
local YOUNG, YOUNG_KEEPS = 10000, 4096

local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)
local state = redis.call('HMGET', head, 'epoch', 'seq', 'time', 'place', 'born', 'kept', 'fades')
local epoch, seq, time = state[1], tonumber(state[2] or 0), tonumber(state[3] or now - 1)
local place, born, kept, fades = tonumber(state[4] or 0), tonumber(state[5] or now), tonumber(state[6] or 0), state[7]
local fresh = not epoch
if fresh then
  epoch = ARGV[2]
  redis.call('DEL', log)
  redis.call('HSET', head, 'epoch', epoch, 'seq', 0, 'time', time, 'born', now)
  redis.call('PUBLISH', ARGV[8], ARGV[9])
end

if what == 'renew' and epoch == ARGV[10] then
  epoch = ARGV[2]
  redis.call('DEL', log)
  redis.call('HSET', head, 'epoch', epoch)
end

local kind, has_item, first, second = false, true, nil, nil
if what == 'set' or what == 'update' then
  local new = ARGV[11]
  if redis.call('HSET', items, item, new) == 1 then
    place = place + 1
    redis.call('HSET', places, item, place)
    redis.call('HSET', head, 'place', place)
    kind, second = 'c', new
  elseif old == 'null' then
    kind, second = 'n', new
  else
    kind, second = 'u', new
    -- For those to whom turning null is a delete, which shows what was there.
    if new == 'null' then first = old end
  end
elseif what == 'delete' then
  redis.call('HDEL', items, item)
  redis.call('HDEL', places, item)
  kind, first = 'd', old
elseif what == 'record' then
  kind, has_item, first, second = ARGV[11], ARGV[14] == '1', ARGV[12], ARGV[13]
end

if kind then
  seq = seq + 1
  time = math.max(now, time + 1)
  local function part(text) return text and #text or -1 end
  local id = string.format('%.0f-%.0f', time, seq)
  local message = string.format('1 %s %s %.0f %.0f %d %d %d\n', kind, epoch, seq, time, has_item and #item or -1, part(first), part(second))
    .. item .. (first or '') .. (second or '')
  redis.call('HSET', head, 'seq', seq, 'time', time)

  local keep = tonumber(ARGV[3])
  if now - born < YOUNG then keep = math.max(keep, YOUNG_KEEPS) end
  local fits = math.floor(tonumber(ARGV[5]) / #message)
  if fits < keep then
    redis.call('XADD', log, 'MAXLEN', math.max(fits, 1), id, 'm', message)
  else
    redis.call('XADD', log, 'MAXLEN', '~', keep, id, 'm', message)
  end
  if now - kept > tonumber(ARGV[4]) / 8 then
    redis.call('PEXPIRE', log, ARGV[4])
    redis.call('HSET', head, 'kept', now)
  end
  redis.call(ARGV[6], ARGV[7], message)
end

if what == 'set' or what == 'update' or redis.call('EXISTS', items) == 1 then
  if fades then
    redis.call('PERSIST', head)
    redis.call('HDEL', head, 'fades')
  end
elseif kind or fresh then
  redis.call('PEXPIRE', head, FADES)
  if not fades then redis.call('HSET', head, 'fades', 1) end
end

if what == 'position' or what == 'renew' then
  return { epoch, string.format('%.0f', seq), string.format('%.0f', time), fresh and 1 or 0 }
end
return { 1, old, fresh and 1 or 0 }
