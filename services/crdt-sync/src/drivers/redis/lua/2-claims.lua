-- What operation ids were used for, and where that was counted, as packages/crdt/src/op-claims.ts has
-- it: {by, stamp (16 hex digits), incarnation, seq, commit}.
local claims = {}

local function raw_of(hex)
  return (hex:gsub('..', function(digits) return char(tonumber(digits, 16)) end))
end

local function hex_of(raw)
  return (raw:gsub('.', function(each) return string.format('%02x', byte(each)) end))
end

function claims.of(by, stamp, incarnation_hex, seq, commit)
  return { by = by, stamp = stamp, incarnation = raw_of(incarnation_hex), seq = seq, commit = commit }
end

-- As it is stored. One of before does not say where it was counted.
function claims.read(value)
  local text = record.open_bare(value)
  local by, stamp, hex, seq, commit = text:match('^(%S+) (%x+) (%x+) (%d+) (%d+)$')
  if by == nil then
    by, stamp = text:match('^(%S+) (%x+)$')
    hex, seq, commit = string.rep('0', 32), 0, 0
  end
  if by == nil then damaged('an operation id') end
  return claims.of(tonumber(by), stamp, hex, tonumber(seq), tonumber(commit))
end

function claims.seal(claim)
  local by, hex = string.format('%.0f', claim.by), hex_of(claim.incarnation)
  local place = string.format('%.0f %.0f', claim.seq, claim.commit)
  return record.seal_bare(by .. ' ' .. claim.stamp .. ' ' .. hex .. ' ' .. place)
end

function claims.less(a, b)
  if a.stamp ~= b.stamp then return less(a.stamp, b.stamp) end
  if a.incarnation ~= b.incarnation then return less(a.incarnation, b.incarnation) end
  return a.seq < b.seq
end

local function equal(a, b)
  return a.stamp == b.stamp and a.incarnation == b.incarnation and a.seq == b.seq
end

-- The claims of two lists, least first, each once.
function claims.unite(a, b)
  local all, united = {}, {}
  for _, list in ipairs({ a, b }) do
    for _, claim in ipairs(list) do all[#all + 1] = claim end
  end
  table.sort(all, claims.less)
  for _, claim in ipairs(all) do
    if #united == 0 or not equal(united[#united], claim) then united[#united + 1] = claim end
  end
  return united
end

function claims.same(a, b)
  if #a ~= #b then return false end
  for i, claim in ipairs(a) do
    if not equal(claim, b[i]) then return false end
  end
  return true
end

local function encode(claim)
  local h, l = tonumber(sub(claim.stamp, 1, 8), 16), tonumber(sub(claim.stamp, 9, 16), 16)
  return '\133'
    .. cbor.int(claim.by)
    .. cbor.head(0, h, l)
    .. cbor.incarnation(claim.incarnation)
    .. cbor.int(claim.seq)
    .. cbor.int(claim.commit)
end

local function read(s, at)
  local members, by, h, l, incarnation, seq, commit
  members, at = cbor.read_array(s, at)
  if members ~= 5 then damaged('a claim was expected') end
  by, at = cbor.read_int(s, at)
  h, l, at = cbor.read_wide(s, at)
  incarnation, at = cbor.read_incarnation(s, at)
  seq, at = cbor.read_int(s, at)
  commit, at = cbor.read_int(s, at)
  local stamp = string.format('%08x%08x', h, l)
  return { by = by, stamp = stamp, incarnation = incarnation, seq = seq, commit = commit }, at
end

-- Lists of claims by operation id.
function claims.encode_contested(contested)
  local ids = {}
  for op_id in pairs(contested) do ids[#ids + 1] = op_id end
  table.sort(ids, less)
  local parts = { cbor.array(#ids) }
  for _, op_id in ipairs(ids) do
    parts[#parts + 1] = '\130' .. cbor.text(op_id) .. cbor.array(#contested[op_id])
    for _, claim in ipairs(contested[op_id]) do parts[#parts + 1] = encode(claim) end
  end
  return concat(parts)
end

function claims.read_contested(s, at)
  local contested, count = {}, nil
  count, at = cbor.read_array(s, at)
  for _ = 1, count do
    local members, op_id, length
    members, at = cbor.read_array(s, at)
    if members ~= 2 then damaged('a contested id was expected') end
    op_id, at = cbor.read_text(s, at)
    length, at = cbor.read_array(s, at)
    local list = {}
    for n = 1, length do list[n], at = read(s, at) end
    contested[op_id] = list
  end
  return contested
end
