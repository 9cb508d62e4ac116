import { MemplaneError } from '@memplane/contracts';
import { decode } from 'cborg';
import { CRDT_FORMAT_VERSION, damaged, list } from './forms.ts';

/** What is read from a network is looked through for these before anything is made of it. */
export interface DecodeLimits {
  readonly bytes_max: number;
  /** Arrays and maps within each other. */
  readonly depth_max: number;
  /** Values of all kinds, in sum. */
  readonly items_max: number;
}

export const DECODE_LIMITS: DecodeLimits = {
  bytes_max: 8 * 1024 * 1024,
  depth_max: 64,
  items_max: 2_000_000,
};

/**
 * Walks over the heads of one CBOR item without making anything of it, so lengths and counts that
 * promise more than there is cost nothing. Wants definite lengths and shortest heads, no tags.
 * @throws MemplaneError `body_too_large` and `too_deep` for what is beyond the limits,
 * `storage_damaged` for what is no such item.
 */
export function checkShape(bytes: Uint8Array, limits: DecodeLimits = DECODE_LIMITS): void {
  if (bytes.length > limits.bytes_max) throw tooLarge('bytes_max', limits.bytes_max);
  /** How many values each open array or map still lacks. */
  const open = [1];
  let at = 0;
  let items = 0;
  while (open.length > 0) {
    const left = open.pop() ?? 0;
    if (left === 0) continue;
    open.push(left - 1);
    if (++items > limits.items_max) throw tooLarge('items_max', limits.items_max);
    const head = readHead(bytes, at);
    at = head.end;
    const rest = bytes.length - at;
    if (head.major === 2 || head.major === 3) {
      if (head.value > rest) throw damaged('cut short');
      at += head.value;
    } else if (head.major === 4 || head.major === 5) {
      const values = head.major === 4 ? head.value : head.value * 2;
      if (values > rest) throw damaged('cut short');
      if (open.length > limits.depth_max) {
        throw new MemplaneError('too_deep', `Values are nested deeper than ${limits.depth_max}.`);
      }
      open.push(values);
    }
  }
  if (at !== bytes.length) throw damaged('something follows the value');
}

/**
 * What follows the version and the type in an item that {@link checkShape} finds in order.
 * @throws MemplaneError as {@link checkShape} does.
 */
export function openBounded(
  bytes: Uint8Array,
  type: number,
  limits: DecodeLimits = DECODE_LIMITS,
): readonly unknown[] {
  checkShape(bytes, limits);
  let form: unknown;
  try {
    form = decode(bytes, { strict: true, allowUndefined: false, rejectDuplicateMapKeys: true });
  } catch (cause) {
    throw damaged('not CBOR', cause);
  }
  const [version, actual, ...rest] = list(form);
  if (version !== CRDT_FORMAT_VERSION) throw damaged(`format version ${String(version)}`);
  if (actual !== type) throw damaged(`type ${String(actual)} in place of ${type}`);
  return rest;
}

/**
 * One state has one encoding: what is written again otherwise is refused, so that no two digests
 * are of one state.
 * @throws MemplaneError `storage_damaged`
 */
export function expectSameBytes(bytes: Uint8Array, again: Uint8Array): void {
  if (Buffer.compare(bytes, again) !== 0) throw damaged('not in canonical form');
}

interface Head {
  readonly major: number;
  readonly value: number;
  readonly end: number;
}

function readHead(bytes: Uint8Array, at: number): Head {
  const first = bytes[at];
  if (first === undefined) throw damaged('cut short');
  const major = first >> 5;
  const info = first & 31;
  if (major === 6 || info > 27) throw damaged('a tag or an indefinite length');
  if (info < 24) {
    if (major === 7 && (info < 20 || info > 22)) throw damaged('an unknown simple value');
    return { major, value: info, end: at + 1 };
  }
  const width = 1 << (info - 24);
  const end = at + 1 + width;
  if (end > bytes.length) throw damaged('cut short');
  if (major === 7) {
    if (info === 24) throw damaged('an unknown simple value');
    return { major, value: 0, end };
  }
  let value = 0;
  for (let i = at + 1; i < end; i++) value = value * 256 + (bytes[i] ?? 0);
  const least = [24, 2 ** 8, 2 ** 16, 2 ** 32][info - 24] ?? 0;
  if (value < least) throw damaged('a head that is longer than it must be');
  return { major, value, end };
}

function tooLarge(limit: string, max: number): MemplaneError {
  return new MemplaneError('body_too_large', `A CRDT's record is beyond ${limit}.`, {
    extra: { limit, max },
  });
}
