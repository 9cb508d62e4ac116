-- Whole numbers beyond 2^53, canonical CBOR, and sealed records. The bytes of a counter, register,
-- context or element are those that packages/crdt/src/codec.ts writes.
local byte, sub, char, concat = string.byte, string.sub, string.char, table.concat
local floor = math.floor
local TWO32 = 4294967296
local FORMAT_VERSION = 1

local function damaged(what)
  error('DAMAGED ' .. what, 0)
end

-- By bytes; `<` on texts would go by the server's locale.
local function less(a, b)
  for i = 1, math.min(#a, #b) do
    local x, y = byte(a, i), byte(b, i)
    if x ~= y then return x < y end
  end
  return #a < #b
end

-- A wide number is two: h * 2^32 + l, 0 <= l < 2^32. Doubles hold both exactly up to 2^84.
local function normal(h, l)
  local carry = floor(l / TWO32)
  return h + carry, l - carry * TWO32
end

-- Within +-(2^53 - 1), where one double holds it.
local function is_safe(h, l)
  return h < 2097152 and h >= -2097152 and not (h == -2097152 and l == 0)
end

-- The digits of a wide number.
local function decimal(h, l)
  local sign = ''
  if h < 0 then
    sign = '-'
    h, l = normal(-h, -l)
  end
  local parts = {}
  repeat
    local rest = h % 1000000
    h = (h - rest) / 1000000
    local low = rest * TWO32 + l
    local digits = low % 1000000
    l = (low - digits) / 1000000
    table.insert(parts, 1, string.format('%06d', digits))
  until h == 0 and l == 0
  local text = concat(parts):gsub('^0+', '')
  return sign .. (text == '' and '0' or text)
end

local function from_decimal(text)
  local negative = byte(text, 1) == 45
  local h, l = 0, 0
  for i = negative and 2 or 1, #text do
    local digit = byte(text, i) - 48
    if digit < 0 or digit > 9 or h > 2 ^ 48 then damaged('a sum') end
    local carried_h, carried_l = normal(0, l * 10 + digit)
    h, l = h * 10 + carried_h, carried_l
  end
  if negative then return normal(-h, -l) end
  return h, l
end

local cbor = {}

-- The first bytes of an item, for a value of 0 <= h * 2^32 + l < 2^64.
function cbor.head(major, h, l)
  local first = major * 32
  if h > 0 then return char(first + 27) .. struct.pack('>I4I4', h, l) end
  if l < 24 then return char(first + l) end
  if l < 256 then return char(first + 24, l) end
  if l < 65536 then return char(first + 25, floor(l / 256), l % 256) end
  return char(first + 26) .. struct.pack('>I4', l)
end

function cbor.wide(h, l)
  if h >= 2147483648 or h < -2147483648 then
    local text = decimal(h, l)
    return cbor.head(3, 0, #text) .. text
  end
  if h >= 0 then return cbor.head(0, h, l) end
  return cbor.head(1, normal(-h, -l - 1))
end

-- Numbers of a context come by the thousand, so the usual ones go straight.
function cbor.int(n)
  if n >= 0 and n < TWO32 then
    if n < 24 then return char(n) end
    if n < 256 then return char(24, n) end
    if n < 65536 then return char(25, floor(n / 256), n % 256) end
    return struct.pack('>BI4', 26, n)
  end
  return cbor.wide(normal(0, n))
end

local RUN = 64
local RUN_FORMAT = '>' .. string.rep('BI4', RUN)

-- Numbers one after the other, none below the one before it. Of those that take five bytes, which are
-- most where there are many, a run is packed at once.
function cbor.ascending(list)
  local parts, count, i, length = {}, 0, 1, #list
  while i <= length do
    count = count + 1
    local n = list[i]
    if n >= 65536 and i + RUN - 1 <= length and list[i + RUN - 1] < TWO32 then
      local run = {}
      for k = 1, RUN do run[2 * k - 1], run[2 * k] = 26, list[i + k - 1] end
      parts[count] = struct.pack(RUN_FORMAT, unpack(run, 1, 2 * RUN))
      i = i + RUN
    else
      parts[count] = cbor.int(n)
      i = i + 1
    end
  end
  return concat(parts)
end

function cbor.array(count)
  return cbor.head(4, 0, count)
end

function cbor.text(text)
  return cbor.head(3, 0, #text) .. text
end

-- 16 bytes.
function cbor.incarnation(raw)
  return '\80' .. raw
end

-- Each reader gives what it read and the place behind it.
function cbor.read_head(s, i)
  local first = byte(s, i)
  if first == nil then damaged('cut short') end
  local major, low = floor(first / 32), first % 32
  if low < 24 then return major, 0, low, i + 1 end
  if low > 27 then damaged('an indefinite length') end
  local bytes = 2 ^ (low - 24)
  if #s < i + bytes then damaged('cut short') end
  if low == 24 then return major, 0, byte(s, i + 1), i + 2 end
  if low == 25 then return major, 0, byte(s, i + 1) * 256 + byte(s, i + 2), i + 3 end
  if low == 26 then return major, 0, struct.unpack('>I4', s, i + 1), i + 5 end
  local h, l = struct.unpack('>I4I4', s, i + 1)
  return major, h, l, i + 9
end

function cbor.read_wide(s, i)
  local major, h, l, at = cbor.read_head(s, i)
  if major == 0 then return h, l, at end
  if major == 1 then
    h, l = normal(-h, -l - 1)
    return h, l, at
  end
  if major ~= 3 or h > 0 or #s < at + l - 1 then damaged('a number was expected') end
  local sum_h, sum_l = from_decimal(sub(s, at, at + l - 1))
  return sum_h, sum_l, at + l
end

function cbor.read_int(s, i)
  local first, a, b, c, d = byte(s, i, i + 4)
  if first ~= nil and first < 24 then return first, i + 1 end
  if first == 25 and b ~= nil then return a * 256 + b, i + 3 end
  if first == 26 and d ~= nil then return ((a * 256 + b) * 256 + c) * 256 + d, i + 5 end
  local h, l, at = cbor.read_wide(s, i)
  if not is_safe(h, l) then damaged('a whole number was expected') end
  return h * TWO32 + l, at
end

local function read_sized(s, i, expected, what)
  local major, h, l, at = cbor.read_head(s, i)
  if major ~= expected or h > 0 or #s < at + l - 1 then damaged(what) end
  return sub(s, at, at + l - 1), at + l
end

function cbor.read_text(s, i)
  return read_sized(s, i, 3, 'a text was expected')
end

function cbor.read_incarnation(s, i)
  local raw, at = read_sized(s, i, 2, 'an incarnation was expected')
  if #raw ~= 16 then damaged('an incarnation was expected') end
  return raw, at
end

function cbor.read_array(s, i)
  local major, h, l, at = cbor.read_head(s, i)
  if major ~= 4 or h > 0 then damaged('an array was expected') end
  return l, at
end

-- The place behind any item.
function cbor.skip(s, i)
  local major, h, l, at = cbor.read_head(s, i)
  if major == 0 or major == 1 or major == 7 then return at end
  if h > 0 then damaged('a length') end
  if major == 2 or major == 3 then
    if #s < at + l - 1 then damaged('cut short') end
    return at + l
  end
  for _ = 1, major == 5 and l * 2 or major == 6 and 1 or l do at = cbor.skip(s, at) end
  return at
end

-- Format version and type, the first two of `length` members.
function cbor.open(s, i, length, type)
  local count, at = cbor.read_array(s, i)
  if count ~= length or byte(s, at) ~= FORMAT_VERSION or byte(s, at + 1) ~= type then
    damaged('another type or format version')
  end
  return at + 2
end

-- A stored value: format version, length of the key id and the key id (none yet), the first 32 hex
-- digits of the SHA-1 of what follows, and that. It finds accidents; Redis computes it in C.
local record = {}

function record.seal(body, version)
  return char(version or FORMAT_VERSION, 0) .. sub(redis.sha1hex(body), 1, 32) .. body
end

-- Gives the body, and its format version, which is at most `highest` (1 where nothing is said).
function record.open(value, highest)
  local version = byte(value, 1) or 0
  if version < 1 or version > (highest or FORMAT_VERSION) then damaged('another format version') end
  local at = 3 + (byte(value, 2) or 0)
  local body = sub(value, at + 32)
  if sub(redis.sha1hex(body), 1, 32) ~= sub(value, at, at + 31) then
    damaged('it does not have its digest')
  end
  return body, version
end

-- An element's: it has no digest of its own, its piece has the sum.
function record.seal_bare(body)
  return char(FORMAT_VERSION, 0) .. body
end

function record.open_bare(value)
  if byte(value, 1) ~= FORMAT_VERSION then damaged('another format version') end
  return sub(value, 3 + (byte(value, 2) or 0))
end
