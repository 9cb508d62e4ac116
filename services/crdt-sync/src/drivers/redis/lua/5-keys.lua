-- Where what is.
local REPLICA = '_replica:'
local names = {}

function names.key(tenant, type, name)
  return tenant .. ':' .. type .. ':' .. name
end

-- As many digits of an element's hash say which piece it is in: its place.
local PLACE_DIGITS = 3

-- A large piece stands in buckets, by the first digit of elements' SHA-1, which is computed in C here.
function names.bucket(place, element)
  return place .. '-' .. sub(redis.sha1hex(element), 1, 1)
end

-- All buckets of a piece.
function names.buckets(place)
  local buckets = {}
  for digit = 0, 15 do buckets[digit + 1] = string.format('%s-%x', place, digit) end
  return buckets
end

-- All elements of a place, or of one of its buckets; '' stands for those that are not cut into pieces.
function names.piece_key(tenant, name, place)
  return names.key(tenant, place == '' and 'elements' or 'piece-' .. place, name)
end
