-- The functions. Arguments are texts, in the order in which they are read.

-- Up to which commit of incarnations all is there.
local function read_raised(call)
  for _ = 1, number_of(call) do
    call.raised[#call.raised + 1] = { incarnation = next_of(call), commits = number_of(call) }
  end
end

local function call_of(args)
  local call = { args = args, at = 1 }
  call.incarnation_hex = next_of(call)
  call.incarnation = call.incarnation_hex:gsub('..', function(hex) return char(tonumber(hex, 16)) end)
  call.replica, call.now = next_of(call), next_of(call)
  call.set_elements_max, call.set_bytes_max = number_of(call), number_of(call)
  call.map_bytes_max = number_of(call)
  call.op_ids_max, call.contested_ids_max = number_of(call), number_of(call)
  call.tells = next_of(call) == '1'
  call.raised, call.slots = {}, {}
  read_raised(call)
  for i = 1, number_of(call) do
    call.slots[i] = { tenant = next_of(call), name = next_of(call), places = {} }
    if call.tells then call.slots[i].delta = deltas.begin() end
  end
  return call
end

local function count_commits(incarnation, commits, clock)
  local value = record.seal_bare(string.format('%.0f', commits) .. ' ' .. clock)
  redis.call('HSET', REPLICA .. 'incarnations', incarnation, value)
end

-- Writes the names, and what is kept of incarnations: their commits and the clock's last stamp.
-- Gives whether anything was written, the clock, and the places of the names that have changed.
local function finish(call, must_write)
  local changed = {}
  for place, slot in ipairs(call.slots) do
    if slot.counter ~= nil then flush(call, slot) end
    if names.write(slot) then changed[#changed + 1] = place end
  end
  local clock = call.clock or redis.call('GET', REPLICA .. 'clock') or string.rep('0', 16)
  local written = #changed > 0 or must_write or call.ticked
  if call.ticked or must_write then redis.call('SET', REPLICA .. 'clock', clock) end
  for _, known in ipairs(call.raised) do
    if commits_of(known.incarnation) < known.commits then
      count_commits(known.incarnation, known.commits, clock)
      written = true
    end
  end
  return written and 1 or 0, clock, changed
end

-- What others are to be told of the changes: {number, clock, names}.
local function commit_of(call, clock, changed)
  local number = commits_of(call.incarnation_hex) + 1
  count_commits(call.incarnation_hex, number, clock)
  local told = {}
  for i, place in ipairs(call.tells and changed or {}) do
    told[i] = deltas.encode(call.slots[place], place, call.incarnation)
  end
  return { number, clock, told }
end

-- What joins have found, as a commit of the caller's own; false where it is nothing.
local function found_of(call, clock)
  local told = {}
  for place, slot in ipairs(call.slots) do
    told[#told + 1] = deltas.encode_found(slot, place) or nil
  end
  if #told == 0 then return false end
  local number = commits_of(call.incarnation_hex) + 1
  count_commits(call.incarnation_hex, number, clock)
  return { number, clock, told }
end

-- The places of the names that remember so many operation ids that some should be forgotten, as
-- domain/op-forgetting.ts has it.
local function crowded(call)
  local places, max = {}, call.op_ids_max
  local kept = math.min(1024, max - math.ceil(max / 8))
  for place, slot in ipairs(call.slots) do
    if (slot.op_count or 0) > kept then places[#places + 1] = place end
  end
  return places
end

-- Every command is tried; a stored value that is damaged fails the commands that need it, and
-- anything else that goes wrong fails the call before it has written.
local function attempt(handler, call, slot)
  local ok, result = pcall(handler, call, slot)
  if ok then return result end
  -- A text or a table, as the server's version has it.
  local text = tostring(type(result) == 'table' and result.err or result)
  if sub(text, 1, 8) == 'DAMAGED ' then return { 'storage_damaged', sub(text, 9) } end
  -- Somebody has put a value of another of Redis's types there.
  if text:match('^%-?WRONGTYPE') then return { 'storage_damaged', 'a key has another type' } end
  error(result, 0)
end

local READS = {
  ['counter-get'] = true,
  ['set-has'] = true,
  ['set-get'] = true,
  ['register-get'] = true,
  ['flag-get'] = true,
  ['map-get'] = true,
}

local function run(args, reads_only)
  local call = call_of(args)
  local must_write, results = next_of(call) == '1', {}
  for i = 1, number_of(call) do
    local type, slot, words = next_of(call), call.slots[number_of(call)], number_of(call)
    local behind = call.at + words
    call.behind = behind
    if reads_only and not READS[type] then error('ERR a mutation among reads', 0) end
    results[i] = attempt(commands[type], call, slot)
    call.at = behind
  end
  if reads_only then return { 0, results, false } end
  local written, clock, changed = finish(call, must_write)
  local commit = #changed > 0 and commit_of(call, clock, changed)
  return { written, results, commit, crowded(call) }
end

local function join(args)
  local call, results = call_of(args), {}
  local must_write, observed = next_of(call) == '1', next_of(call)
  call.clock = redis.call('GET', REPLICA .. 'clock') or string.rep('0', 16)
  if less(call.clock, observed) then call.clock, call.ticked = observed, true end
  local is_whole = true
  for i = 1, number_of(call) do
    local slot = call.slots[number_of(call)]
    call.words = joins.words(call)
    results[i] = attempt(joins.join, call, slot)
    is_whole = is_whole and type(results[i]) ~= 'table'
  end
  -- What these joins bring is known in the same step, unless one of them was refused.
  if is_whole then read_raised(call) end
  local written, clock = finish(call, must_write)
  return { written, results, call.tells and found_of(call, clock), crowded(call) }
end

-- A caller that knows of other values than those that are here, since all were removed or others put
-- in their place, must not go on from what it knows.
local function guarded(work, reads_only)
  return function(_, args)
    if redis.call('GET', REPLICA .. 'state') ~= args[1] then
      return redis.error_reply('NEWSTATE the values of before are not here any more')
    end
    return work(args, reads_only)
  end
end

-- Drops a value. What others have of it may be older, so the dots that were given must not be given
-- again: for everybody but the caller these are other values from now on, as if they were lost.
local function discard(args)
  names.drop({ tenant = args[3], name = args[5] }, args[4])
  redis.call('SET', REPLICA .. 'state', args[2])
  return 1
end

-- Forgets operation ids that are still what the caller has seen of them.
local function forget(_, args)
  local key = names.key(args[1], 'ops', args[2])
  local order = names.key(args[1], 'op-stamps', args[2])
  for i = 3, #args, 2 do
    local op_id, seen = args[i], args[i + 1]
    if redis.call('HGET', key, op_id) == seen then
      redis.call('HDEL', key, op_id)
      redis.call('ZREM', order, claims.read(seen).stamp .. op_id)
    end
  end
  return 1
end

-- What is stored; an empty text where somebody has put a value of another of Redis's types there.
local function stored_at(command, key)
  local stored = redis.pcall(command, key)
  if type(stored) == 'table' and stored.err then return '' end
  return stored
end

-- Hash fields of several keys, at one moment.
local function fields(_, args)
  local found = {}
  for i = 1, #args, 2 do found[#found + 1] = redis.call('HGET', args[i], args[i + 1]) end
  return found
end

-- Names of one type in order, each with its record.
local function list(_, args)
  local tenant, type, from, limit = args[1], args[2], args[3], args[4]
  local key = names.key(tenant, 'names', type)
  local found = {}
  for _, name in ipairs(redis.call('ZRANGEBYLEX', key, from, '+', 'LIMIT', 0, limit)) do
    found[#found + 1] = name
    found[#found + 1] = stored_at('GET', names.key(tenant, type, name))
  end
  return found
end

-- Elements that are not cut and that are given with their set; more than these are to be cut first.
local UNCUT_GIVEN_MAX = 1024

-- A set's header, the elements that are not cut with their records, the rows of its pieces, and how
-- many elements stand in order, at one moment.
local function set(_, args)
  local tenant, name = args[1], args[2]
  local uncut = names.piece_key(tenant, name, '')
  local count = redis.pcall('HLEN', uncut)
  local is_few = type(count) == 'number' and count <= UNCUT_GIVEN_MAX
  return {
    stored_at('GET', names.key(tenant, 'set', name)),
    is_few and redis.call('HGETALL', uncut) or '',
    stored_at('HGETALL', names.key(tenant, 'pieces', name)),
    stored_at('ZCARD', names.key(tenant, 'members', name)),
  }
end

-- A set's header, and some of its pieces, each as its row and its elements with their records, at
-- one moment.
local function pieces(_, args)
  local tenant, name, found = args[1], args[2], {}
  for i = 3, #args do
    local place = args[i]
    local row = redis.call('HGET', names.key(tenant, 'pieces', name), place)
    found[#found + 1], found[#found + 2] = row, elements.stored_in(tenant, name, place, row)
  end
  return { stored_at('GET', names.key(tenant, 'set', name)), found }
end

-- What `set` gives, and all pieces that are not what the caller knows of them, by what their rows
-- count: up to so many elements, and whether these are all.
local function news(_, args)
  local tenant, name, left = args[1], args[2], tonumber(args[3])
  local known, given, is_all = {}, {}, 1
  for i = 4, #args, 2 do known[args[i]] = args[i + 1] end
  local found = set(nil, args)
  local rows = found[3]
  for i = 1, type(rows) == 'table' and #rows or 0, 2 do
    local place, counted = rows[i], sub(rows[i + 1], 35, 74)
    if known[place] ~= counted then
      if left <= 0 then
        is_all = 0
        break
      end
      local stored = elements.stored_in(tenant, name, place, rows[i + 1])
      left = left - #stored / 2
      given[#given + 1], given[#given + 2], given[#given + 3] = place, rows[i + 1], stored
    end
  end
  return { found, given, is_all }
end

-- Keeps the SHA-256 sums of pieces that are still what the caller has seen of them.
local function digested(_, args)
  local key = names.key(args[1], 'pieces', args[2])
  for i = 3, #args, 3 do
    local place, seen, digest = args[i], args[i + 1], args[i + 2]
    if redis.call('HGET', key, place) == seen then
      redis.call('HSET', key, place, sets.seal_row(sets.open_row(seen), digest))
    end
  end
  return 1
end

-- Takes elements, each with its place, into pieces.
local function cut(_, args)
  local slot = { tenant = args[1], name = args[2], places = {} }
  for i = 3, #args, 2 do slot.places[args[i]] = args[i + 1] end
  return attempt(elements.cut, slot) or 1
end

-- All that a name holds, at one moment.
local function state(_, args)
  local tenant, name = args[1], args[2]
  return {
    stored_at('GET', names.key(tenant, 'counter', name)),
    stored_at('HGETALL', names.key(tenant, 'ops', name)),
    set(nil, args),
    stored_at('GET', names.key(tenant, 'register', name)),
    stored_at('GET', names.key(tenant, 'flag', name)),
    stored_at('GET', names.key(tenant, 'map', name)),
  }
end

return {
  execute = guarded(run, false),
  read = guarded(run, true),
  join = guarded(join),
  discard = guarded(discard),
  forget = forget,
  fields = fields,
  list = list,
  set = set,
  pieces = pieces,
  news = news,
  digested = digested,
  cut = cut,
  state = state,
}
