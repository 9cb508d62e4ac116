-- Deltas that came about elsewhere, joined with what is there.
local joins = {}

function joins.counter(call, slot)
  local delta = counters.read(next_of(call))
  if counters.join(names.counter(slot), delta) then slot.dirty_counter = true end
  for _ = 1, number_of(call) do
    local op_id, by = next_of(call), number_of(call)
    names.use_op(slot, op_id, by, next_of(call))
    slot.dirty_counter = true
  end
end

function joins.register(call, slot)
  local delta = registers.read(next_of(call))
  registers.join(names.register(slot), delta)
  slot.dirty_register = true
end

local function join_element(slot, delta, element)
  local kept, theirs = {}, delta.elements[element] or {}
  for _, dot in ipairs(names.dots(slot, element) or {}) do
    if dots.has(theirs, dot) or not contexts.has(delta.context, dot) then kept[#kept + 1] = dot end
  end
  for _, dot in ipairs(theirs) do
    if not contexts.has(slot.set.context, dot) then kept[#kept + 1] = dot end
  end
  table.sort(kept, dots.less)
  names.set_dots(slot, element, #kept > 0 and kept or nil)
end

-- A delta names the dots that it removes, not their elements: the sender says which ones it touched,
-- or else all are looked at.
function joins.set(call, slot)
  local delta = sets.read_delta(next_of(call))
  local all, touched = next_of(call) == '1', texts_of(call)
  names.set(slot)
  local elements = {}
  for element in pairs(delta.elements) do elements[element] = true end
  if all then
    local key = names.key(slot.tenant, 'elements', slot.name)
    for _, element in ipairs(redis.call('HKEYS', key)) do elements[element] = true end
  else
    for _, element in ipairs(touched) do elements[element] = true end
  end
  for element in pairs(elements) do join_element(slot, delta, element) end
  contexts.join(slot.set.context, delta.context)
  slot.dirty_set = true
end
