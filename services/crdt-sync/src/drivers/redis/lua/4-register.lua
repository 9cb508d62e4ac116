-- Registers, as packages/crdt/src/lww-register.ts has them. A value stays the bytes that it came as.
local registers = {}

function registers.empty()
  return { versions = {}, context = {} }
end

function registers.encode_version(version)
  return '\132'
    .. dots.encode(version)
    .. cbor.head(0, version.hlc_h, version.hlc_l)
    .. cbor.text(version.replica)
    .. version.value
end

function registers.encode(state)
  local parts = { '\132\1\3', contexts.encode_form(state.context), cbor.array(#state.versions) }
  for _, version in ipairs(state.versions) do parts[#parts + 1] = registers.encode_version(version) end
  return concat(parts)
end

function registers.read_version(s, i)
  local members, at = cbor.read_array(s, i)
  if members ~= 4 then damaged('a version was expected') end
  local version
  version, at = dots.read(s, at)
  version.hlc_h, version.hlc_l, at = cbor.read_wide(s, at)
  version.replica, at = cbor.read_text(s, at)
  local behind = cbor.skip(s, at)
  version.value = sub(s, at, behind - 1)
  return version, behind
end

function registers.read(s)
  local at = cbor.open(s, 1, 4, 3)
  local state, count = { versions = {} }, nil
  state.context, at = contexts.read_form(s, at)
  count, at = cbor.read_array(s, at)
  for n = 1, count do
    state.versions[n], at = registers.read_version(s, at)
  end
  return state
end

function registers.is_beaten(a, b)
  if a.hlc_h ~= b.hlc_h then return a.hlc_h < b.hlc_h end
  if a.hlc_l ~= b.hlc_l then return a.hlc_l < b.hlc_l end
  if a.replica ~= b.replica then return less(a.replica, b.replica) end
  return dots.less(a, b)
end

-- The version that wins, as a register of it alone; false where nothing is written.
function registers.winner(state)
  local best = nil
  for _, version in ipairs(state.versions) do
    if best == nil or registers.is_beaten(best, version) then best = version end
  end
  if best == nil then return false end
  return '\132\1\3\128\129' .. registers.encode_version(best)
end

-- `version` has all but its number. Returns the write as a delta.
function registers.write(state, version)
  version.seq = contexts.next(state.context, version.incarnation)
  local kept, known = { version }, { version }
  for _, seen in ipairs(state.versions) do
    local side = registers.is_beaten(seen, version) and known or kept
    side[#side + 1] = seen
  end
  table.sort(kept, dots.less)
  state.versions = kept
  return { versions = { version }, context = dots.context_of(known) }
end

-- Takes away what is there. Returns that as a delta.
function registers.reset(state)
  local delta = { versions = {}, context = dots.context_of(state.versions) }
  state.versions = {}
  return delta
end

-- Joins `source` into `target`. Returns whether `target` grew.
function registers.join(target, source)
  local kept, fresh = {}, false
  for _, mine in ipairs(target.versions) do
    if dots.has(source.versions, mine) or not contexts.has(source.context, mine) then
      kept[#kept + 1] = mine
    end
  end
  local removed = #kept < #target.versions
  for _, theirs in ipairs(source.versions) do
    if not contexts.has(target.context, theirs) then
      kept[#kept + 1] = theirs
      fresh = true
    end
  end
  table.sort(kept, dots.less)
  target.versions = kept
  return contexts.join(target.context, source.context) or removed or fresh
end
