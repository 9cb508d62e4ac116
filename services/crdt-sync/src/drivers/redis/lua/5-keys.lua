-- Where what is.
local REPLICA = '_replica:'
local names = {}

function names.key(tenant, type, name)
  return tenant .. ':' .. type .. ':' .. name
end

-- All elements of these places; '' stands for those that are not cut into pieces.
function names.piece_key(tenant, name, place)
  return names.key(tenant, place == '' and 'elements' or 'piece-' .. place, name)
end
