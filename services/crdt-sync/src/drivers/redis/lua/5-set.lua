-- Observed-remove sets, as packages/crdt/src/or-set.ts has them. A set is a header, its elements and
-- their records in pieces, and the elements in order. A piece is a hash of the elements whose own
-- hashes begin with the same digits; it has a row that counts it, and in the version of the row it
-- says whether it stands in buckets. A small set is one hash, and so is what was written before there
-- were pieces and was not cut yet. The header has the sums of all.
local sets = {}
local HEADER_VERSION = 2
local BUCKETED_VERSION = 2

-- How many elements there are, and the sum of their records' digests.
local function nothing()
  return { elements = 0, sum = { 0, 0, 0, 0 } }
end

function sets.empty()
  return { elements = 0, bytes = 0, sum = { 0, 0, 0, 0 }, uncut = nothing(), context = {} }
end

local function encode_sum(sum)
  return string.format('%08x%08x%08x%08x', sum[1], sum[2], sum[3], sum[4])
end

local function read_sum(s, at)
  local sum = {}
  for i = 1, 4 do
    sum[i] = tonumber(sub(s, at + i * 8 - 8, at + i * 8 - 1), 16) or damaged('a sum of digests')
  end
  return sum
end

function sets.seal_header(set)
  local body = struct.pack('>ddd', set.elements, set.bytes, set.uncut.elements)
    .. encode_sum(set.sum)
    .. encode_sum(set.uncut.sum)
    .. contexts.encode(set.context)
  return record.seal(body, HEADER_VERSION)
end

-- Of a set of before pieces, nothing is cut.
local function read_former(s)
  if #s < 48 then damaged('a set is cut short') end
  local set = { sum = read_sum(s, 17), context = contexts.read(s, 49) }
  set.elements, set.bytes = struct.unpack('>dd', s)
  set.uncut = { elements = set.elements, sum = read_sum(s, 17) }
  return set
end

function sets.open_header(value)
  local s, version = record.open(value, HEADER_VERSION)
  if version < HEADER_VERSION then return read_former(s) end
  if #s < 88 then damaged('a set is cut short') end
  local set = { sum = read_sum(s, 25), uncut = { sum = read_sum(s, 57) } }
  set.elements, set.bytes, set.uncut.elements = struct.unpack('>ddd', s)
  set.context = contexts.read(s, 89)
  return set
end

-- What a piece comes to. Behind it an instance puts its SHA-256 sum, until the piece changes.
function sets.seal_row(row, digest)
  local version = row.is_bucketed and BUCKETED_VERSION or FORMAT_VERSION
  return record.seal(struct.pack('>d', row.elements) .. encode_sum(row.sum) .. (digest or ''), version)
end

-- Whether the piece of this row stands in buckets; of a row that is damaged, as it seems.
function sets.is_bucketed(value)
  return value and byte(value, 1) == BUCKETED_VERSION
end

function sets.open_row(value)
  if not value then return nothing() end
  local s = record.open(value, BUCKETED_VERSION)
  if #s ~= 40 and #s ~= 56 then damaged('the sum of a piece') end
  local elements = struct.unpack('>d', s)
  return { elements = elements, sum = read_sum(s, 9), is_bucketed = sets.is_bucketed(value) }
end

function sets.encode_element(element, list)
  return '\132\1\5' .. cbor.text(element) .. dots.encode_list(list)
end

function sets.read_element(s)
  local at = cbor.open(s, 1, 4, 5)
  local _, behind = cbor.read_text(s, at)
  local list = dots.read_list(s, behind)
  return list
end

-- What became of elements, as it travels: {element, dots, context} each.
function sets.read_patch(s)
  local patch, count, at = {}, cbor.read_array(s, cbor.open(s, 1, 3, 15))
  for n = 1, count do
    local members, part
    members, at = cbor.read_array(s, at)
    if members ~= 3 then damaged('an element was expected') end
    part = {}
    part.element, at = cbor.read_text(s, at)
    part.dots, at = dots.read_list(s, at)
    part.context, at = contexts.read_form(s, at)
    patch[n] = part
  end
  return patch
end

-- Counts a record (sign 1), or does so no more (sign -1), in these sums modulo 2^128.
function sets.count(body, sign, total, part)
  local hex, carry, part_carry = redis.sha1hex(body), 0, 0
  for i = 4, 1, -1 do
    local digit = sign * tonumber(sub(hex, i * 8 - 7, i * 8), 16)
    local limb, part_limb = total[i] + digit + carry, part.sum[i] + digit + part_carry
    carry, part_carry = floor(limb / TWO32), floor(part_limb / TWO32)
    total[i], part.sum[i] = limb - carry * TWO32, part_limb - part_carry * TWO32
  end
  part.elements = part.elements + sign
end
