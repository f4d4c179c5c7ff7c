-- One change of a group: store it, number it, keep it for those who miss it, tell those who watch. All or nothing, in one order.
--
-- KEYS  items, head, places, log of the group
-- ARGV  what to do, and then
--         set       item, value
--         delete    item
--         update    item, new value, the old one that it was made of (not there: there was no item)
--         record    item, kind, first part, second part, '1' where there is an item
--         position
--         read      names of items: the position, all items with their places, and the named ones
--         renew     the epoch that must not go on, the least time that others may be told
-- The line before this text sets HISTORY (changes kept), AGE (for how long, ms), BYTES (of them), PUBLISH (or SPUBLISH), AT (the database).
local call = redis.call
local items, head, places, log = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local what, item = ARGV[1], ARGV[2]

local old = false
if what == 'set' or what == 'delete' or what == 'update' then
  old = call('HGET', items, item)
  if what == 'update' and old ~= (ARGV[4] or false) then return { 0, old } end
  if what == 'delete' and not old then return { 1, false, 0 } end
end

-- A head outlasts the items of its group by this long, so that numbers and times go on where the group comes back.
local FADES = 7 * 24 * 3600 * 1000
-- A group that nothing was ever in may have been made up by whoever asks for it. It is not born, and its head is there for those who wait for
-- its first change: they look at it again and again (`looks.rs`).
local WAITS = 5 * 60 * 1000
-- A new group keeps more, until those who watch its whole stream have heard of it and read what it began with.
local YOUNG, YOUNG_KEEPS = 10000, 4096

local clock = call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local state = call('HMGET', head, 'epoch', 'seq', 'time', 'place', 'born', 'kept', 'fades')
local epoch, seq, time, fades = state[1], tonumber(state[2] or 0), tonumber(state[3] or now - 1), state[7]
local unborn, born, kept = not state[5], tonumber(state[5] or now), tonumber(state[6] or 0)
local fresh = not epoch
if what == 'renew' and time < tonumber(ARGV[3]) then
  time = tonumber(ARGV[3])
  -- See below: for want of memory a script is refused at its first write, but not at this one.
  call('HDEL', head, 'none')
  call('HSET', head, 'time', string.format('%d', time))
end
if fresh or (what == 'renew' and epoch == item) then
  -- No two lives of a group begin in the same microsecond.
  epoch = string.format('%d%06d', clock[1], clock[2])
  -- For want of memory Redis refuses a script at its first write, or never: what brings no value begins with one that it does not refuse.
  local stores = what == 'set' or what == 'update' or what == 'record'
  if not stores then call('DEL', log) end
  call('HSET', head, 'epoch', epoch)
  call('DEL', log)
  call('HDEL', head, 'kept')
end
if fresh then
  call('HSET', head, 'seq', '0', 'time', string.format('%d', time))
end

local kind, item_len, first, second = false, 0, '', ''
if what == 'set' or what == 'update' then
  second = ARGV[3]
  if call('HSET', items, item, second) == 1 then
    local last = tonumber(state[4] or 0)
    if not state[4] then
      -- Nothing was placed since the head began; but the one before it may be lost (evicted, say), and the items still there.
      for _, at in ipairs(call('HVALS', places)) do last = math.max(last, tonumber(at) or 0) end
    end
    local place = string.format('%d', last + 1)
    call('HSET', places, item, place)
    call('HSET', head, 'place', place)
    kind = 'c'
  elseif old == 'null' then
    kind = 'n'
  else
    kind = 'u'
    -- For those to whom turning null is a delete, which shows what was there.
    if second == 'null' then first = old end
  end
  item_len = #item
elseif what == 'delete' then
  call('HDEL', items, item)
  call('HDEL', places, item)
  kind, item_len, first = 'd', #item, old
elseif what == 'record' then
  kind, first, second = ARGV[3], ARGV[4], ARGV[5]
  item_len = ARGV[6] == '1' and #item or -1
end

if kind then
  local format = string.format
  local s, t = format('%d', seq + 1), format('%d', math.max(now, time + 1))
  call('HSET', head, 'seq', s, 'time', t)
  local message = format('1 %s %s %s %s %d %d %d\n', kind, epoch, s, t, item_len, #first, #second) .. item .. first .. second

  local keep = HISTORY
  if keep < YOUNG_KEEPS and now - born < YOUNG then keep = YOUNG_KEEPS end
  if #message * keep > BYTES then
    call('XADD', log, 'MAXLEN', math.max(math.floor(BYTES / #message), 1), t .. '-' .. s, 'm', message)
  else
    call('XADD', log, 'MAXLEN', '~', keep, t .. '-' .. s, 'm', message)
  end
  if now - kept > AGE / 8 then
    call('PEXPIRE', log, string.format('%d', AGE))
    call('HSET', head, 'kept', string.format('%d', now))
  end
  call(PUBLISH, head .. AT, message)
end

local holds = what == 'set' or what == 'update' or call('EXISTS', items) == 1
local birth = unborn and (kind or holds)
if birth then
  call('HSET', head, 'born', string.format('%d', now))
  local stream, group = string.match(items, '^stream:(.*):(.*)$')
  call('PUBLISH', 'weir:births:' .. stream .. AT, group)
end
if holds then
  if fades then
    call('PERSIST', head)
    call('HDEL', head, 'fades')
  end
elseif kind or unborn then
  call('PEXPIRE', head, kind and FADES or WAITS)
  if not fades then call('HSET', head, 'fades', '1') end
end

if what == 'read' then
  local named = {}
  for n = 2, #ARGV do named[n - 1] = call('HGET', items, ARGV[n]) end
  return { epoch, string.format('%d', seq), string.format('%d', time), unborn and not birth and 1 or 0, call('HGETALL', items), call('HGETALL', places), named }
end
if what == 'position' or what == 'renew' then
  return { epoch, string.format('%d', seq), string.format('%d', time), unborn and not birth and 1 or 0 }
end
return { 1, old, birth and 1 or 0 }
