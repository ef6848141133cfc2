-- The books of many machines: one step for each call of this script. See policies/ledger/books.py for what a step means,
-- and redis_books.py for how the keys are laid out. All keys begin with one hash tag, that of KEYS[1]: they lie in one
-- slot of a cluster, those too that are found on the way and could not be named beforehand.
--
-- Amounts have up to 63 bits, and a number of Lua has 53: they are added by HINCRBY, and compared as {high, low} pairs.
-- Instants are microseconds and figures of buckets are below 2^52: plain numbers.

local PREFIX = string.sub(KEYS[1], 1, -6)
local op, known, candidate, instance, serial, now = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], tonumber(ARGV[6])
local given = cjson.decode(ARGV[7])
local call = redis.call
local BASE = 1000000000
local KEPT_S = 40 * 86400
local CLOCK_AHEAD = 3600 * 1000000
local step

local function num(s)
  if not s or s == '' then return {0, 0} end
  local negative = string.sub(s, 1, 1) == '-'
  if negative then s = string.sub(s, 2) end
  local n, high, low = #s, 0, 0
  if n <= 9 then low = tonumber(s) else high, low = tonumber(string.sub(s, 1, n - 9)), tonumber(string.sub(s, n - 8)) end
  if negative then
    high, low = -high, -low
    if low < 0 then high, low = high - 1, low + BASE end
  end
  return {high, low}
end

local function add(a, b)
  local high, low = a[1] + b[1], a[2] + b[2]
  if low >= BASE then return {high + 1, low - BASE} end
  return {high, low}
end

local function minus(a, b)
  local high, low = a[1] - b[1], a[2] - b[2]
  if low < 0 then return {high - 1, low + BASE} end
  return {high, low}
end

local function less(a, b)
  return a[1] < b[1] or (a[1] == b[1] and a[2] < b[2])
end

local ZERO = {0, 0}

local function least(a, b)
  if less(a, b) then return a end
  return b
end

local function most(a, b)
  if less(a, b) then return b end
  return a
end

local function text(a)
  local sign, high, low = '', a[1], a[2]
  if high < 0 then
    sign, high = '-', -high
    if low > 0 then high, low = high - 1, BASE - low end
  end
  if high == 0 then return string.format('%s%.0f', sign, low) end
  return string.format('%s%.0f%09.0f', sign, high, low)
end

local function sixteenth(a)
  local high = math.floor(a[1] / 16)
  return {high, math.floor(((a[1] - high * 16) * BASE + a[2]) / 16)}
end

local function times64(a)
  local low = a[2] * 64
  local over = math.floor(low / BASE)
  return {a[1] * 64 + over, low - over * BASE}
end

-- floor(a * b / c) and whether something is left over, exact for whole numbers below 2^52.
local function muldiv(a, b, c)
  if a * b < 9007199254740992 then
    local product = a * b
    local quotient = math.floor(product / c)
    while quotient * c > product do quotient = quotient - 1 end
    while (quotient + 1) * c <= product do quotient = quotient + 1 end
    return quotient, quotient * c < product
  end
  if a / c * b > 4503599627370496 then return 4503599627370496, false end
  local whole = math.floor(b / c)
  local part, quotient, rest = b - whole * c, 0, 0
  for bit = 52, 0, -1 do
    quotient, rest = quotient * 2, rest * 2
    if rest >= c then quotient, rest = quotient + 1, rest - c end
    local weight = 2 ^ bit
    if a >= weight then
      a = a - weight
      quotient, rest = quotient + whole, rest + part
      if rest >= c then quotient, rest = quotient + 1, rest - c end
    end
  end
  return quotient, rest > 0
end

local function key_of(counter) return PREFIX .. 'c:' .. counter end

local function changed(counter) call('ZADD', PREFIX .. 'changes', step, counter) end

local function seen(name)
  call('HSET', PREFIX .. 'i:' .. name, 'seen', ARGV[6])
  call('EXPIRE', PREFIX .. 'i:' .. name, KEPT_S)
  call('ZADD', PREFIX .. 'instances', now / 1000000, name)
end

local function add_lease(name, counter, amount)
  local key = key_of(counter)
  call('HINCRBY', key, 'l:' .. name, amount)
  call('HINCRBY', key, 'leased', amount)
  call('SADD', PREFIX .. 's:' .. name, counter)
  call('EXPIRE', PREFIX .. 's:' .. name, KEPT_S)
  changed(counter)
end

local function used(counter)
  local row = call('HMGET', key_of(counter), 'spent', 'leased')
  return num(row[1]), num(row[2])
end

local function create(counter, family, unit)
  local key = key_of(counter)
  if call('HSETNX', key, 'family', family) == 1 then
    call('HSET', key, 'unit', unit, 'kind', 'budget', 'spent', '0', 'leased', '0', 'allowed', '0')
    changed(counter)
    -- Names of counters whose time was over.
    for _, name in ipairs(call('ZRANDMEMBER', PREFIX .. 'changes', 3)) do
      if call('EXISTS', key_of(name)) == 0 then call('ZREM', PREFIX .. 'changes', name) end
    end
    return true
  end
  return false
end

local function topped_up(demand)
  local sum = ZERO
  for _, entry in ipairs(call('LRANGE', PREFIX .. 'u:' .. demand.family, 0, -1)) do
    local one = cjson.decode(entry)
    local at = tonumber(one.at_us)
    local counts = at <= now
    if one.until_us == '' then
      counts = counts and at >= demand.starts
    else
      counts = counts and tonumber(one.until_us) > now
    end
    if counts then sum = add(sum, num(one.amount)) end
  end
  return sum
end

-- The bucket of a demand, filled up to now: its level, what is lent of it, and its instant.
local function bucket(demand, key)
  local row = call('HMGET', key, 'level', 'at', 'leased')
  local level, at, lent = tonumber(row[1] or '0'), tonumber(row[2] or '0'), tonumber(row[3] or '0')
  local capacity = demand.limit - lent
  if at == 0 then
    level, at = demand.limit, now
  elseif at - now > CLOCK_AHEAD then
    level, at = math.min(level, capacity), now
  elseif now <= at or level >= capacity then
    level, at = math.min(level, capacity), math.max(at, now)
  else
    local gained = muldiv(now - at, demand.stated, demand.per)
    if level + gained >= capacity then
      level, at = capacity, now
    else
      local took, more = muldiv(gained, demand.per, demand.stated)
      level, at = level + gained, at + took + (more and 1 or 0)
    end
  end
  call('HSET', key, 'level', string.format('%.0f', level), 'at', string.format('%.0f', at),
    'allowed', string.format('%.0f', demand.limit))
  return level, at
end

-- The room of a counter that a newer one goes by as well.
local function beside_newer(demand, room, newer)
  while newer do
    local row = call('HMGET', key_of(newer), 'allowed', 'spent', 'leased', 'newer')
    if not row[2] then break end
    if demand.rolling then
      room = minus(minus(room, num(row[2])), num(row[3]))
      newer = row[4]
    else
      room = least(room, most(ZERO, minus(minus(num(row[1]), num(row[2])), num(row[3]))))
      newer = nil
    end
  end
  return room
end

-- A counter as a borrowing finds it; it is there and up to date afterwards.
local function find(demand)
  local key = key_of(demand.counter)
  local is_new = create(demand.counter, demand.family, demand.unit)
  if is_new or call('HGET', key, 'kept') ~= demand.kept then
    call('HSET', key, 'unit', demand.unit, 'kind', demand.kind, 'starts', demand.starts_text, 'ends', demand.ends_text,
      'kept', demand.kept)
    if demand.kept == '' then call('PERSIST', key) else call('EXPIREAT', key, demand.kept) end
  end
  if is_new and demand.before ~= '' then
    if create(demand.before, demand.family, demand.unit) and demand.kept ~= '' then
      call('EXPIREAT', key_of(demand.before), demand.kept)
    end
    call('HSET', key_of(demand.before), 'newer', demand.counter)
  end
  if demand.kind == 'rate' then
    local level, at = bucket(demand, key)
    return {level = level, at = at, older = {}, older_spent = ZERO, older_leased = ZERO}
  end
  local allowed = num(demand.limit_text)
  if demand.top_ups then allowed = add(allowed, topped_up(demand)) end
  if demand.carry then
    local spent, leased = used(demand.carry.counter)
    local left = minus(num(demand.carry.limit), add(spent, leased))
    allowed = add(allowed, least(num(demand.carry.most), most(ZERO, left)))
  end
  call('HSET', key, 'allowed', text(allowed))
  local row = call('HMGET', key, 'spent', 'leased', 'newer')
  local found = {older = {}, older_spent = ZERO, older_leased = ZERO}
  for _, counter in ipairs(demand.also) do
    local spent, leased = used(counter)
    found.older_spent, found.older_leased = add(found.older_spent, spent), add(found.older_leased, leased)
    table.insert(found.older, text(add(spent, leased)))
  end
  local room = minus(minus(allowed, num(row[1])), num(row[2]))
  room = minus(minus(room, found.older_spent), found.older_leased)
  found.room = beside_newer(demand, room, row[3])
  return found
end

-- How much to lend beyond the need.
local function extra(want, found)
  local demand = want.demand
  local need = num(want.need)
  local left = minus(found.room, need)
  if not less(ZERO, left) then
    if demand.strict then return ZERO end
    return need
  end
  if demand.kind == 'concurrent' then return sixteenth(left) end
  return least(sixteenth(left), times64(need))
end

local function lend(want, found)
  local demand = want.demand
  local key = key_of(demand.counter)
  if demand.kind ~= 'rate' then
    local need = num(want.need)
    local lent = need
    if not want.shared then lent = add(need, extra(want, found)) end
    add_lease(instance, demand.counter, text(lent))
    found.room = minus(found.room, lent)
    return text(lent)
  end
  local need = tonumber(want.need)
  local more = 0
  if not want.shared then more = math.max(0, math.min(found.level - need, demand.pace)) end
  if found.level >= need + more then
    call('HINCRBY', key, 'level', string.format('%.0f', -(need + more)))
  end
  found.level = found.level - need - more
  local had = tonumber(call('HGET', key, 'l:' .. instance) or '0')
  add_lease(instance, demand.counter, string.format('%.0f', more - had))
  return string.format('%.0f', need + more)
end

local function own_of(counters)
  local sum = ZERO
  for _, counter in ipairs(counters) do sum = add(sum, num(call('HGET', key_of(counter), 'l:' .. instance))) end
  return sum
end

local function borrow()
  if call('EXISTS', PREFIX .. 'opens') == 1 then return {'WAIT'} end
  local all, needed, granted = {}, {}, true
  for position, want in ipairs(given) do
    local counter = want.demand.counter
    all[position] = find(want.demand)
    needed[counter] = add(needed[counter] or ZERO, num(want.need))
  end
  for position, want in ipairs(given) do
    local found, demand = all[position], want.demand
    found.before = found.room or num(string.format('%.0f', found.level))
    want.shared = text(needed[demand.counter]) ~= want.need
    found.unmet = demand.strict and less(found.before, needed[demand.counter])
    if found.unmet then granted = false end
  end
  local answer = {}
  for position, want in ipairs(given) do
    local found, demand = all[position], want.demand
    local key = key_of(demand.counter)
    local lent = '0'
    if granted and want.need ~= '0' then lent = lend(want, found) end
    if found.unmet then add_lease(instance, demand.counter, '0') end
    local row = call('HMGET', key, 'spent', 'leased', 'allowed', 'l:' .. instance, 'p:' .. instance, 'level')
    local others = minus(add(num(row[2]), found.older_leased), add(num(row[4]), own_of(demand.also)))
    if found.unmet and not less(add(found.before, others), num(want.need)) then
      call('HSET', key, 'wanted', instance, 'wanted_at', step)
      changed(demand.counter)
      for _, counter in ipairs(demand.also) do
        if call('EXISTS', key_of(counter)) == 1 then
          call('HSET', key_of(counter), 'wanted', instance, 'wanted_at', step)
          changed(counter)
        end
      end
    end
    answer[position] = {
      row[4] or '0', row[5] or '0', row[1], row[2], row[3], text(found.before), lent, text(others),
      text(found.older_spent), text(found.older_leased), row[6] or '0', string.format('%.0f', found.at or 0), found.older,
    }
  end
  return {'OK', granted and '1' or '0', answer}
end

local function cover()
  for counter, amount in pairs(given) do
    create(counter, amount.family, '')
    add_lease(instance, counter, amount.amount)
  end
  return {'OK'}
end

local function give_back()
  for counter, amount in pairs(given) do
    local key = key_of(counter)
    local row = call('HMGET', key, 'kind', 'l:' .. instance)
    if row[1] then
      local lease = num(row[2])
      if row[1] == 'rate' then
        call('HINCRBY', key, 'level', amount)
        add_lease(instance, counter, text(minus(ZERO, lease)))
      else
        add_lease(instance, counter, text(minus(ZERO, least(num(amount), lease))))
      end
    end
  end
  return {'OK'}
end

local function leave()
  for _, counter in ipairs(given) do
    local key = key_of(counter)
    if call('HGET', key, 'l:' .. instance) == '0' then
      call('HDEL', key, 'l:' .. instance, 'p:' .. instance)
      call('SREM', PREFIX .. 's:' .. instance, counter)
    end
  end
  return {'OK'}
end

local function glance()
  local at = call('GET', PREFIX .. 'steps') or '0'
  local since = given.since
  if tonumber(since) < 0 then return {'OK', at, {}} end
  local changes, mine = PREFIX .. 'changes', PREFIX .. 's:' .. instance
  local names = {}
  if call('ZCOUNT', changes, '(' .. since, '+inf') <= call('SCARD', mine) then
    names = call('ZRANGEBYSCORE', changes, '(' .. since, '+inf')
  else
    for _, name in ipairs(call('SMEMBERS', mine)) do
      if tonumber(call('ZSCORE', changes, name) or '0') > tonumber(since) then table.insert(names, name) end
    end
  end
  local rows = {}
  for _, name in ipairs(names) do
    local row = call('HMGET', key_of(name), 'l:' .. instance, 'p:' .. instance, 'spent', 'leased', 'allowed', 'kind', 'wanted',
      'wanted_at')
    if row[1] then
      local is_wanted = row[7] and row[7] ~= instance and tonumber(row[8]) > tonumber(since)
      table.insert(rows, {name, row[1], row[2] or '0', row[3], row[4], row[5], row[6], is_wanted and '1' or '0'})
    end
  end
  return {'OK', at, rows}
end

local function post()
  local new = 0
  for _, page in ipairs(given) do
    seen(page.instance)
    local journal = PREFIX .. 'i:' .. page.instance
    local row = call('HMGET', journal, 'posted', 'included')
    if page.segment > tonumber(row[1] or '0') then
      new = new + 1
      call('HSET', journal, 'posted', string.format('%.0f', page.segment))
      local counts = page.segment > tonumber(row[2] or '0')
      for _, posting in ipairs(page.postings) do
        local key = key_of(posting.counter)
        create(posting.counter, posting.family, posting.unit)
        if counts then call('HINCRBY', key, 'spent', posting.spent) end
        local lease = call('HGET', key, 'l:' .. page.instance)
        if lease then
          local off = text(minus(ZERO, least(num(posting.set_aside), num(lease))))
          call('HINCRBY', key, 'l:' .. page.instance, off)
          call('HINCRBY', key, 'leased', off)
          call('HINCRBY', key, 'p:' .. page.instance, posting.set_aside)
        end
        changed(posting.counter)
      end
    end
  end
  return {'OK', string.format('%.0f', new)}
end

local function forget()
  local mine = PREFIX .. 's:' .. instance
  for _, counter in ipairs(call('SMEMBERS', mine)) do
    local key = key_of(counter)
    local lease = call('HGET', key, 'l:' .. instance)
    if lease then
      call('HINCRBY', key, 'leased', text(minus(ZERO, num(lease))))
      call('HDEL', key, 'l:' .. instance, 'p:' .. instance)
      changed(counter)
    end
  end
  call('DEL', mine)
  local newest = call('ZREVRANGE', PREFIX .. 'instances', 0, 0, 'WITHSCORES')
  if newest[2] then call('ZREMRANGEBYSCORE', PREFIX .. 'instances', '-inf', tonumber(newest[2]) - KEPT_S) end
  return {'OK'}
end

local function rebuild()
  local ahead = {}
  for _, name in ipairs(call('ZRANGE', PREFIX .. 'instances', 0, -1)) do
    local posted = tonumber(call('HGET', PREFIX .. 'i:' .. name, 'posted') or '0')
    if posted > tonumber(given.included[name] or '0') then table.insert(ahead, name) end
  end
  if #ahead > 0 then return {'OK', ahead} end
  for counter, one in pairs(given.spent) do
    create(counter, one.family, one.unit)
    call('HSET', key_of(counter), 'spent', one.amount)
    changed(counter)
  end
  for name, segment in pairs(given.included) do
    seen(name)
    call('HSET', PREFIX .. 'i:' .. name, 'included', segment)
  end
  return {'OK', {}}
end

local OPS = {
  borrow = borrow, cover = cover, give_back = give_back, leave = leave, glance = glance, post = post, forget = forget,
  rebuild = rebuild,
}
local epoch = call('GET', KEYS[1])
if op == 'rebuild' and known ~= '' and known ~= epoch then epoch = false end
if not epoch and (known == '' or op == 'rebuild') then
  epoch = candidate
  call('SET', KEYS[1], epoch)
  if op == 'rebuild' then
    -- Time for those who have something on lease to say so, before anything is lent again.
    call('SET', PREFIX .. 'rebuilt', epoch)
    call('SET', PREFIX .. 'opens', '1', 'PX', given.closed_ms)
  end
elseif known ~= '' and known ~= epoch then
  if epoch and call('GET', PREFIX .. 'rebuilt') == epoch then return {'NEW', epoch} end
  return {'LOST', epoch or ''}
end
if serial ~= '' then
  local journal = PREFIX .. 'i:' .. instance
  if tonumber(serial) <= tonumber(call('HGET', journal, 'serial') or '0') then return {'STALE', epoch} end
  call('HSET', journal, 'serial', serial)
end
if op ~= 'glance' then
  step = call('INCR', PREFIX .. 'steps')
  if serial ~= '' then seen(instance) end
end
local result = OPS[op]()
table.insert(result, 2, epoch)
return result
