import type { Seeded } from '@memplane/testkit';

const CRLF = '\r\n';
const COMMANDS = [
  ...['CRDT.INCR', 'CRDT.DECR', 'CRDT.GET', 'CRDT.SADD', 'CRDT.SREM', 'CRDT.SMEMBERS'],
  ...['CRDT.SISMEMBER', 'CRDT.SET', 'CRDT.READ', 'CRDT.DEL', 'CRDT.TOKEN', 'CRDT.AFTER'],
  ...['CRDT.MEMBERS', 'PING', 'ECHO', 'INFO', 'AUTH', 'HELLO', 'SELECT', 'CLIENT', 'COMMAND'],
  ...['CONFIG', 'QUIT', 'MULTI', 'GET', 'nonsense', '__proto__', 'crdt.incr', 'Echo'],
];
const NUMBERS = [
  ...['0', '1', '-1', '7', '007', '+1', '1.5', '1e3', '', ' 1', '9007199254740991'],
  ...['-9007199254740991', '9007199254740992', '99999999999999999999', 'NaN', '0x10'],
];
/** What a length may be said to be, and is not. */
const LENGTHS = [
  ...['-1', '-2', '0', '00', '1', '+1', ' 1', '1 ', '', '-', '1.0', '1e9', 'x', '65536', '262143'],
  ...['262144', '262145', '1048576', '1048577', '2147483647', '2147483648', '4294967296'],
  ...['9223372036854775807', '-9223372036854775808', '1'.repeat(30), '0'.repeat(20), '-0'],
];
const MARKS = ['*', '$', '+', '-', ':', '_', '%', '~', '#', ',', '(', '!', '=', '>', '|', '\0'];
const TEXTS = ['', 'x', 'ü✓𝄞', 'a\r\nb', '*1\r\n$4\r\nPING\r\n', '"', "'", '\\', '\0', ' ', 'OPID'];

/** Bytes that a client may send, by mistake or on purpose. */
export function makeRequests(random: Seeded): Buffer {
  const parts: Buffer[] = [];
  for (let i = random.int(1, 6); i > 0; i--) parts.push(makeRequest(random));
  let bytes: Buffer = Buffer.concat(parts);
  while (random.chance(0.45)) bytes = mutated(bytes, random);
  return bytes;
}

function makeRequest(random: Seeded): Buffer {
  const words = makeWords(random);
  if (random.chance(0.2)) return inline(words, random);
  if (random.chance(0.35)) return wrongFrame(words, random);
  return frame(words);
}

export function frame(words: readonly (string | Buffer)[]): Buffer {
  const parts = words.flatMap((word) => {
    const bytes = Buffer.from(word);
    return [Buffer.from(`$${bytes.length}${CRLF}`), bytes, Buffer.from(CRLF)];
  });
  return Buffer.concat([Buffer.from(`*${words.length}${CRLF}`), ...parts]);
}

function makeWords(random: Seeded): (string | Buffer)[] {
  const words: (string | Buffer)[] = [random.pick(COMMANDS)];
  if (random.chance(0.25)) return ['CRDT.INCR', `n${random.int(0, 30)}`, String(random.int(0, 99))];
  const count = random.chance(0.02) ? random.int(100, 3_000) : random.int(0, 4);
  for (let i = 0; i < count; i++) words.push(makeArgument(random));
  return words;
}

function makeArgument(random: Seeded): string | Buffer {
  const kind = random.int(0, 9);
  if (kind < 4) return `${random.pick(['c', 's', 'r'])}${random.int(0, 10)}`;
  if (kind < 6) return random.pick(NUMBERS);
  if (kind < 8) return random.pick(TEXTS);
  if (kind < 9)
    return Buffer.from(Array.from({ length: random.int(1, 40) }, () => random.int(0, 255)));
  return random.word(random.chance(0.1) ? random.int(1_000, 80_000) : random.int(1, 300));
}

function inline(words: readonly (string | Buffer)[], random: Seeded): Buffer {
  const gap = () => random.pick([' ', '  ', '\t', ' \t ']);
  const quoted = (word: string | Buffer) => {
    const text = word.toString('latin1');
    return random.pick([text, text, `"${text}"`, `'${text}'`, `"\\x41${text}`]);
  };
  const line = words.map(quoted).join(gap());
  return Buffer.from(`${line}${random.pick([CRLF, '\n', '\r\r\n'])}`, 'latin1');
}

/** An array that is not as the grammar has it. */
function wrongFrame(words: readonly (string | Buffer)[], random: Seeded): Buffer {
  const place = random.int(0, words.length - 1);
  const kind = random.int(0, 8);
  const parts: (string | Buffer)[] = [];
  parts.push(kind === 0 ? `*${random.pick(LENGTHS)}${CRLF}` : `*${words.length}${CRLF}`);
  for (const [index, word] of words.entries()) {
    const bytes = Buffer.from(word);
    const isIt = index === place;
    if (isIt && kind === 1) parts.push(`*1${CRLF}`.repeat(random.int(1, 20)));
    const mark = isIt && kind === 2 ? random.pick(MARKS) : '$';
    const off = String(bytes.length + random.pick([-2, -1, 1, 2]));
    const length = isIt && kind === 3 ? random.pick(LENGTHS) : isIt && kind === 4 ? off : undefined;
    const end = isIt && kind === 5 ? random.pick(['', '\n', '\r', '\n\r', '\r\r\n']) : CRLF;
    parts.push(`${mark}${length ?? bytes.length}${CRLF}`, bytes, end);
    if (isIt && kind === 6) break;
    if (isIt && kind === 7) parts.push(random.pick(['\0', '\r\n', '$', '*', '\xff']));
  }
  return Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part) : part)));
}

function mutated(bytes: Buffer, random: Seeded): Buffer {
  if (bytes.length === 0) return Buffer.from([random.int(0, 255)]);
  const at = random.int(0, bytes.length - 1);
  const to = Math.min(bytes.length, at + random.int(1, 12));
  const before = bytes.subarray(0, at);
  switch (random.int(0, 6)) {
    case 0: {
      const copy = Buffer.from(bytes);
      copy[at] = random.int(0, 255);
      return copy;
    }
    case 1:
      return Buffer.concat([before, bytes.subarray(to)]);
    case 2:
      return Buffer.concat([before, bytes.subarray(at, to), bytes.subarray(at)]);
    case 3:
      return Buffer.concat([before, Buffer.from(random.pick(MARKS)), bytes.subarray(at)]);
    case 4:
      return Buffer.from(before);
    case 5:
      return Buffer.concat([
        before,
        Buffer.from(random.pick([CRLF, '\n', '\r'])),
        bytes.subarray(at),
      ]);
    default:
      return Buffer.concat([bytes.subarray(at), before]);
  }
}

/** Places at which bytes are cut into packets. */
export function makeCuts(length: number, random: Seeded): number[] {
  if (random.chance(0.3)) return [];
  if (length < 400 && random.chance(0.2)) return Array.from({ length }, (_, i) => i);
  const cuts = Array.from({ length: random.int(1, 12) }, () => random.int(0, length));
  return [...new Set(cuts)].sort((a, b) => a - b);
}
