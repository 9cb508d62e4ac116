-- Observed-remove sets, as packages/crdt/src/or-set.ts has them. A set is a header (how many
-- elements, their bytes, the sum of their records' digests, the context), a hash of element ->
-- record, and the elements in order.
local sets = {}

function sets.empty()
  return { elements = 0, bytes = 0, sum = { 0, 0, 0, 0 }, context = {} }
end

function sets.encode_header(set)
  local sum = set.sum
  return struct.pack('>dd', set.elements, set.bytes)
    .. string.format('%08x%08x%08x%08x', sum[1], sum[2], sum[3], sum[4])
    .. contexts.encode(set.context)
end

function sets.read_header(s)
  if #s < 48 then damaged('a set is cut short') end
  local set = { sum = {} }
  set.elements, set.bytes = struct.unpack('>dd', s)
  for i = 1, 4 do
    set.sum[i] = tonumber(sub(s, 9 + i * 8, 16 + i * 8), 16) or damaged('a sum of digests')
  end
  set.context = contexts.read(s, 49)
  return set
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

-- Adds (sign 1) or takes away (sign -1) a record's digest, modulo 2^128.
function sets.count_digest(sum, body, sign)
  local hex, carry = redis.sha1hex(body), 0
  for i = 4, 1, -1 do
    local limb = sum[i] + sign * tonumber(sub(hex, i * 8 - 7, i * 8), 16) + carry
    carry = floor(limb / TWO32)
    sum[i] = limb - carry * TWO32
  end
end
