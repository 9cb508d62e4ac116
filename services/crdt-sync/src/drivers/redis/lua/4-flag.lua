-- Flags, as packages/crdt/src/quorum-flag.ts has them: votes by version of the voter set, both in
-- order, and the lowest version whose votes are kept.
local flags = {}

function flags.empty()
  return { floor = 0, votes = {} }
end

function flags.vote(version, voter)
  return { floor = 0, votes = { { version = version, voters = { voter } } } }
end

function flags.encode(state)
  local parts = { '\132\1\8', cbor.int(state.floor), cbor.array(#state.votes) }
  for _, entry in ipairs(state.votes) do
    parts[#parts + 1] = '\130' .. cbor.int(entry.version) .. cbor.array(#entry.voters)
    for _, voter in ipairs(entry.voters) do parts[#parts + 1] = cbor.text(voter) end
  end
  return concat(parts)
end

function flags.read(s)
  local state, count, at = flags.empty(), nil, cbor.open(s, 1, 4, 8)
  state.floor, at = cbor.read_int(s, at)
  count, at = cbor.read_array(s, at)
  for n = 1, count do
    local pair, length
    pair, at = cbor.read_array(s, at)
    if pair ~= 2 then damaged('votes were expected') end
    local entry = { voters = {} }
    entry.version, at = cbor.read_int(s, at)
    length, at = cbor.read_array(s, at)
    for k = 1, length do entry.voters[k], at = cbor.read_text(s, at) end
    state.votes[n] = entry
  end
  return state
end

-- The voters of a version, made at its place in the order.
local function voters_of(state, version)
  local place = 1
  while state.votes[place] and state.votes[place].version < version do place = place + 1 end
  local found = state.votes[place]
  if found == nil or found.version ~= version then
    found = { version = version, voters = {} }
    table.insert(state.votes, place, found)
  end
  return found.voters
end

local function add_voter(voters, voter)
  local place = 1
  while voters[place] and less(voters[place], voter) do place = place + 1 end
  if voters[place] == voter then return false end
  table.insert(voters, place, voter)
  return true
end

-- Joins `source` into `target`. Returns whether `target` grew.
function flags.join(target, source)
  local grew = source.floor > target.floor
  if grew then
    target.floor = source.floor
    while target.votes[1] and target.votes[1].version < target.floor do
      table.remove(target.votes, 1)
    end
  end
  for _, entry in ipairs(source.votes) do
    if entry.version >= target.floor then
      local voters = voters_of(target, entry.version)
      for _, voter in ipairs(entry.voters) do grew = add_voter(voters, voter) or grew end
    end
  end
  return grew
end
