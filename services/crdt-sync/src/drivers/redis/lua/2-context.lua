-- Dots and causal contexts, as packages/crdt/src/context.ts has them: for each incarnation, sorted,
-- disjoint inclusive intervals that never touch.
local dots, contexts = {}, {}

function dots.less(a, b)
  if a.incarnation == b.incarnation then return a.seq < b.seq end
  return less(a.incarnation, b.incarnation)
end

function dots.encode(dot)
  return '\130' .. cbor.incarnation(dot.incarnation) .. cbor.int(dot.seq)
end

function dots.read(s, i)
  local count, at = cbor.read_array(s, i)
  if count ~= 2 then damaged('a dot was expected') end
  local dot = {}
  dot.incarnation, at = cbor.read_incarnation(s, at)
  dot.seq, at = cbor.read_int(s, at)
  return dot, at
end

function dots.encode_list(list)
  local parts = { cbor.array(#list) }
  for i, dot in ipairs(list) do parts[i + 1] = dots.encode(dot) end
  return concat(parts)
end

function dots.read_list(s, i)
  local count, at = cbor.read_array(s, i)
  local list = {}
  for n = 1, count do list[n], at = dots.read(s, at) end
  return list, at
end

function dots.has(list, dot)
  for _, each in ipairs(list) do
    if each.seq == dot.seq and each.incarnation == dot.incarnation then return true end
  end
  return false
end

-- What there is of an incarnation; made at its place in the order when `make` says so.
local function entry_of(context, incarnation, make)
  local low, high = 1, #context
  while low <= high do
    local middle = floor((low + high) / 2)
    local entry = context[middle]
    if entry.incarnation == incarnation then return entry end
    if less(entry.incarnation, incarnation) then low = middle + 1 else high = middle - 1 end
  end
  if not make then return nil end
  local made = { incarnation = incarnation, intervals = {} }
  table.insert(context, low, made)
  return made
end

function contexts.of(context, incarnation)
  local entry = entry_of(context, incarnation)
  return entry and entry.intervals
end

-- What a reset has seen has a gap for each element that stands, so it is searched by halves.
function contexts.has(context, dot)
  local intervals = contexts.of(context, dot.incarnation)
  if intervals == nil then return false end
  local low, high = 0, #intervals / 2
  while low < high do
    local middle = floor((low + high) / 2)
    if intervals[middle * 2 + 1] <= dot.seq then low = middle + 1 else high = middle end
  end
  return low > 0 and dot.seq <= intervals[low * 2]
end

-- The next number of an incarnation, and its dot added.
function contexts.next(context, incarnation)
  local intervals = entry_of(context, incarnation, true).intervals
  local last = #intervals
  if last == 0 then
    intervals[1], intervals[2] = 1, 1
    return 1
  end
  intervals[last] = intervals[last] + 1
  return intervals[last]
end

-- The intervals of both. A context has a gap for each element that is still to come, so most of `a`
-- goes over as it is, and no length is asked for twice.
local function unite(a, b)
  local result, last, i, behind = {}, 0, 1, #a
  for j = 1, #b, 2 do
    local from, to = b[j], b[j + 1]
    while i < behind and a[i + 1] < from - 1 do
      result[last + 1], result[last + 2] = a[i], a[i + 1]
      i, last = i + 2, last + 2
    end
    -- One of `a` may reach over several of `b`.
    if last > 0 and from <= result[last] + 1 then
      from, to, last = result[last - 1], math.max(to, result[last]), last - 2
    end
    while i < behind and a[i] <= to + 1 do
      from, to, i = math.min(from, a[i]), math.max(to, a[i + 1]), i + 2
    end
    result[last + 1], result[last + 2] = from, to
    last = last + 2
  end
  for k = i, behind do
    last = last + 1
    result[last] = a[k]
  end
  return result
end

local function differ(a, b)
  if #a ~= #b then return true end
  for i = 1, #a do
    if a[i] ~= b[i] then return true end
  end
  return false
end

-- Adds all of `source` to `target`. Returns whether `target` grew.
function contexts.join(target, source)
  local grew = false
  for _, theirs in ipairs(source) do
    local mine = entry_of(target, theirs.incarnation, true)
    local united = unite(mine.intervals, theirs.intervals)
    grew = grew or differ(united, mine.intervals)
    mine.intervals = united
  end
  return grew
end

-- Whether any dot is in both.
function contexts.overlap(a, b)
  for _, entry in ipairs(a) do
    local mine, theirs = entry.intervals, contexts.of(b, entry.incarnation) or {}
    local i, j = 1, 1
    while i < #mine and j < #theirs do
      if mine[i + 1] < theirs[j] then i = i + 2
      elseif theirs[j + 1] < mine[i] then j = j + 2
      else return true end
    end
  end
  return false
end

function contexts.clone(context)
  local copy = {}
  contexts.join(copy, context)
  return copy
end

-- The context of these dots alone; for few.
function dots.context_of(list)
  local context = {}
  for _, dot in ipairs(list) do
    contexts.join(context, { { incarnation = dot.incarnation, intervals = { dot.seq, dot.seq } } })
  end
  return context
end

function contexts.encode_form(context)
  local parts = { cbor.array(#context) }
  for _, entry in ipairs(context) do
    parts[#parts + 1] = '\130' .. cbor.incarnation(entry.incarnation)
    parts[#parts + 1] = cbor.array(#entry.intervals)
    parts[#parts + 1] = cbor.ascending(entry.intervals)
  end
  return concat(parts)
end

function contexts.read_form(s, i)
  local count, at = cbor.read_array(s, i)
  local context = {}
  for n = 1, count do
    local pair, length
    pair, at = cbor.read_array(s, at)
    if pair ~= 2 then damaged('a context was expected') end
    local entry = { intervals = {} }
    entry.incarnation, at = cbor.read_incarnation(s, at)
    length, at = cbor.read_array(s, at)
    for k = 1, length do entry.intervals[k], at = cbor.read_int(s, at) end
    context[n] = entry
  end
  return context, at
end

function contexts.encode(context)
  return '\131\1\4' .. contexts.encode_form(context)
end

function contexts.read(s, i)
  return contexts.read_form(s, cbor.open(s, i, 3, 4))
end
