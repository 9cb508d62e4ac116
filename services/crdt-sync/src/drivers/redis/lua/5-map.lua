-- Observed-remove maps, as packages/crdt/src/or-map.ts has them: a tree of what stands, {children =
-- by key} or {items = in the order of dots}, under one causal context. What empties vanishes.
local maps = {}
local COUNTER_DOTS_MAX, COUNTER_DOTS_MIN = 64, 4

function maps.empty()
  return { root = { children = {} }, context = {} }
end

-- JavaScript's order of texts is by UTF-16: there, what is above U+FFFF comes before U+E000.
local function less_utf16(a, b)
  for i = 1, math.min(#a, #b) do
    local x, y = byte(a, i), byte(b, i)
    if x ~= y then
      if (x == 238 or x == 239) and y >= 240 then return false end
      if (y == 238 or y == 239) and x >= 240 then return true end
      return x < y
    end
  end
  return #a < #b
end

local function kind_of(key)
  return sub(key, 1, 2)
end

local encode_node

local function encode_item(kind, item)
  if kind == 'e:' then return dots.encode(item) end
  if kind == 'c:' then return '\130' .. dots.encode(item) .. cbor.wide(item.net_h, item.net_l) end
  return registers.encode_version(item)
end

local function encode_branch(branch, kind)
  local keys = {}
  for key in pairs(branch.children) do keys[#keys + 1] = key end
  table.sort(keys, less_utf16)
  local parts = { cbor.array(#keys) }
  for _, key in ipairs(keys) do
    parts[#parts + 1] = '\130' .. cbor.text(key)
    parts[#parts + 1] = encode_node(kind or kind_of(key), branch.children[key])
  end
  return concat(parts)
end

-- Elements of a set are no keys of a type: what they lead to is of kind `e:`.
function encode_node(kind, node)
  if node.items == nil then return encode_branch(node, kind == 's:' and 'e:' or nil) end
  local parts = { cbor.array(#node.items) }
  for i, item in ipairs(node.items) do parts[i + 1] = encode_item(kind, item) end
  return concat(parts)
end

function maps.encode(state)
  return '\132\1\6' .. contexts.encode_form(state.context) .. encode_branch(state.root)
end

local read_node

local function read_item(kind, s, i)
  if kind == 'e:' then return dots.read(s, i) end
  if kind == 'r:' then return registers.read_version(s, i) end
  local count, at = cbor.read_array(s, i)
  if count ~= 2 then damaged('an amount was expected') end
  local item
  item, at = dots.read(s, at)
  item.net_h, item.net_l, at = cbor.read_wide(s, at)
  return item, at
end

local function read_branch(kind, s, i)
  local count, at = cbor.read_array(s, i)
  local branch = { children = {} }
  for _ = 1, count do
    local pair, key
    pair, at = cbor.read_array(s, at)
    if pair ~= 2 then damaged('a key of a map') end
    key, at = cbor.read_text(s, at)
    branch.children[key], at = read_node(kind or kind_of(key), s, at)
  end
  return branch, at
end

function read_node(kind, s, i)
  if kind == 'm:' then return read_branch(nil, s, i) end
  if kind == 's:' then return read_branch('e:', s, i) end
  if kind ~= 'c:' and kind ~= 'r:' and kind ~= 'e:' then damaged('a key of a map') end
  local count, at = cbor.read_array(s, i)
  local leaf = { items = {} }
  for n = 1, count do leaf.items[n], at = read_item(kind, s, at) end
  return leaf, at
end

function maps.read(s)
  local state, at = {}, cbor.open(s, 1, 4, 6)
  state.context, at = contexts.read_form(s, at)
  state.root = read_branch(nil, s, at)
  return state
end

-- The node at the end of some keys; nil: nothing stands there.
function maps.find(state, keys)
  local node = state.root
  for _, key in ipairs(keys) do
    if node == nil or node.children == nil then return nil end
    node = node.children[key]
  end
  return node
end

local function items_at(state, keys)
  local node = maps.find(state, keys)
  return node and node.items or {}
end

-- A state of one item at the end of some keys, and of the dots that it has seen.
local function delta_of(keys, item, replaced)
  local node, seen = { items = { item } }, { item }
  for i = #keys, 1, -1 do node = { children = { [keys[i]] = node } } end
  for _, each in ipairs(replaced) do seen[#seen + 1] = each end
  return { root = node, context = dots.context_of(seen) }
end

local function next_dot(state, incarnation)
  local intervals = contexts.of(state.context, incarnation)
  return { incarnation = incarnation, seq = intervals and intervals[#intervals] + 1 or 1 }
end

function maps.sum(state, keys)
  local h, l = 0, 0
  for _, item in ipairs(items_at(state, keys)) do h, l = normal(h + item.net_h, l + item.net_l) end
  return h, l
end

-- What each of these gives is a delta, which changes nothing yet.
function maps.increment(state, keys, incarnation, by)
  local own, item = {}, next_dot(state, incarnation)
  local incarnations, last = 0, nil
  -- In the order of dots those of one incarnation follow each other.
  for _, each in ipairs(items_at(state, keys)) do
    if each.incarnation ~= last then incarnations, last = incarnations + 1, each.incarnation end
    if each.incarnation == incarnation then own[#own + 1] = each end
  end
  local own_max = math.max(COUNTER_DOTS_MIN, floor(COUNTER_DOTS_MAX / math.max(1, incarnations)))
  if #own < own_max then own = {} end
  item.net_h, item.net_l = normal(0, by)
  for _, each in ipairs(own) do
    item.net_h, item.net_l = normal(item.net_h + each.net_h, item.net_l + each.net_l)
  end
  return delta_of(keys, item, own)
end

function maps.add(state, keys, incarnation)
  return delta_of(keys, next_dot(state, incarnation), items_at(state, keys))
end

-- `version` has all but its dot; what has a higher stamp stays and goes on winning.
function maps.write(state, keys, version)
  local dot, beaten = next_dot(state, version.incarnation), {}
  version.seq = dot.seq
  for _, seen in ipairs(items_at(state, keys)) do
    if registers.is_beaten(seen, version) then beaten[#beaten + 1] = seen end
  end
  return delta_of(keys, version, beaten)
end

local function standing(node, list)
  if node == nil then return list end
  if node.items then
    for _, item in ipairs(node.items) do list[#list + 1] = item end
  else
    for _, child in pairs(node.children) do standing(child, list) end
  end
  return list
end

function maps.remove(state, keys)
  return { root = { children = {} }, context = dots.context_of(standing(maps.find(state, keys), {})) }
end

local function join_items(mine, theirs, target_context, source_context)
  local kept, changed = {}, false
  for _, item in ipairs(mine) do
    if dots.has(theirs, item) or not contexts.has(source_context, item) then kept[#kept + 1] = item
    else changed = true end
  end
  for _, item in ipairs(theirs) do
    if not contexts.has(target_context, item) then
      kept[#kept + 1] = item
      changed = true
    end
  end
  if changed then table.sort(kept, dots.less) end
  return kept, changed
end

-- Either side may be nil. Gives what stands, nil where nothing does, and whether `mine` changed.
local function join_nodes(mine, theirs, target_context, source_context)
  local sample = mine or theirs
  if sample.items then
    local kept, changed = join_items(
      mine and mine.items or {}, theirs and theirs.items or {}, target_context, source_context)
    return #kept > 0 and { items = kept } or nil, changed
  end
  local children, changed = {}, false
  local function join_child(key, one, other)
    local joined, is_new = join_nodes(one, other, target_context, source_context)
    children[key], changed = joined, changed or is_new
  end
  local here, there = mine and mine.children or {}, theirs and theirs.children or {}
  for key, child in pairs(here) do join_child(key, child, there[key]) end
  for key, child in pairs(there) do
    if here[key] == nil then join_child(key, nil, child) end
  end
  return next(children) and { children = children } or nil, changed
end

-- Joins `source` into `target`. Returns whether `target` grew.
function maps.join(target, source)
  local root, changed = join_nodes(target.root, source.root, target.context, source.context)
  target.root = root or { children = {} }
  return contexts.join(target.context, source.context) or changed
end

-- The same for a delta that was made of `target`: beside the keys, nothing is looked at.
function maps.join_at(target, keys, delta)
  local node, source = target.root, delta.root
  for i = 1, #keys do
    local key = keys[i]
    local mine = node.children[key]
    local theirs = source and source.children and source.children[key] or nil
    if i == #keys or mine == nil then
      if mine or theirs then
        node.children[key] = join_nodes(mine, theirs, target.context, delta.context)
      end
      break
    end
    node, source = mine, theirs
  end
  if #keys == 0 then
    target.root = join_nodes(node, source, target.context, delta.context) or { children = {} }
  end
  maps.prune(target.root, keys, 1)
  contexts.join(target.context, delta.context)
end

-- Takes away the branches on a way that have emptied.
function maps.prune(branch, keys, i)
  local child = keys[i] and branch.children[keys[i]]
  if child == nil or child.children == nil then return end
  maps.prune(child, keys, i + 1)
  if next(child.children) == nil then branch.children[keys[i]] = nil end
end

-- All writes that stand in a map, as one register's would be.
function maps.winner(state, keys)
  return registers.winner({ versions = items_at(state, keys) })
end
