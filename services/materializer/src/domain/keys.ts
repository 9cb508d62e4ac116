import { DEFAULT_TENANT } from '@memplane/contracts';

/**
 * The keys of the views. Every key is
 *
 *     tenant 0x00  partition (2 bytes)  table (1 byte)  …
 *
 * so that a tenant can be walled off and a shard exported or removed alone (see {@link shardRange}).
 * What belongs to a shard and to no tenant has the tenant {@link PLANE}, which no tenant can be.
 *
 * | table | key | value |
 * |---|---|---|
 * | `h` | entity | head: sequence, offset, stamp, attributes |
 * | `m` | entity 0x00 memoryId | the live version of a memory |
 * | `u` | entity 0x00 offset | when the memory version that began at this offset ended |
 * | `v` | entity 0x00 offset kind | history: an event (kind 0), or the state after it (kind 1) |
 * | `i` | idLength id entity | duplicate filter and id index: offset, content digest |
 * | `e` | causeLength cause causeEntity 0x00 effectEntity 0x00 offset | id of the effect |
 * | `x` | path value entity | live attribute: since which offset |
 * | `y` | path value entity 0x00 from | former attribute: until which offset |
 * | `b` | offset (last of a batch) | its records: offset, running stamp, entity (also the outbox) |
 * | `t` | stamp, offset | nothing: finds a batch by its newest stamp |
 * | `o` | | up to which offset changed views are published |
 * | `s` | | the shard's record: applied offset, newest stamp, derived counters |
 * | `z` | entity | its erasure: all before that offset is gone |
 * | `q` | tenant 0x00 entity | how far clearing what an erasure has ended has come |
 * | `p` | | how far removing the history before the start has come; gone when it is done |
 *
 * Keys are built as Latin-1 texts, one character a byte: they serve as map keys as they are, and
 * turning one into bytes is a single call.
 */
export const PLANE = '_plane';

export type Table =
  | 'h'
  | 'm'
  | 'u'
  | 'v'
  | 'i'
  | 'e'
  | 'x'
  | 'y'
  | 'b'
  | 't'
  | 'o'
  | 's'
  | 'p'
  | 'z'
  | 'q';

/** History rows: the event itself, and, after it in key order, the state that it led to. */
export const EVENT_KIND = '\x00';
const EVENT_KIND_BYTE = EVENT_KIND.charCodeAt(0);
export const SNAPSHOT_KIND = '\x01';

/** The row that says in which format the store is written. */
export const FORMAT_KEY = toKey(`${PLANE}\x00format`);

/** A key's bytes. */
export function toKey(text: string): Buffer {
  return Buffer.from(text, 'latin1');
}

/** The bytes of many keys, made at once: much cheaper than one by one. */
export function toKeys(texts: readonly string[]): Uint8Array[] {
  const all = toKey(texts.join(''));
  const keys: Uint8Array[] = new Array(texts.length);
  let at = 0;
  for (let i = 0; i < texts.length; i++) {
    const end = at + (texts[i] as string).length;
    keys[i] = new Uint8Array(all.buffer, all.byteOffset + at, end - at);
    at = end;
  }
  return keys;
}

/** All keys that begin with a prefix: `gte` inclusive, `lt` exclusive. */
export function prefixRange(prefix: string): { gte: Buffer; lt: Buffer } {
  return { gte: toKey(prefix), lt: toKey(after(prefix)) };
}

/** The first text beyond all that begin with this one. */
export function after(prefix: string): string {
  const last = prefix.charCodeAt(prefix.length - 1);
  const head = prefix.slice(0, -1);
  return last === 0xff ? after(head) : head + String.fromCharCode(last + 1);
}

/** All that one tenant, or {@link PLANE}, has in one shard. */
export function shardRange(tenant: string, partition: number): { gte: Buffer; lt: Buffer } {
  return prefixRange(`${tenant}\x00${String.fromCharCode(partition >>> 8, partition & 0xff)}`);
}

/** UTF-8 bytes as Latin-1 characters; ASCII is itself. */
export function utf8(text: string): string {
  for (let i = 0; i < text.length; i++) {
    if (text.charCodeAt(i) > 0x7f) return Buffer.from(text).toString('latin1');
  }
  return text;
}

/** The reverse of {@link utf8}. */
export function fromUtf8(latin1: string): string {
  return Buffer.from(latin1, 'latin1').toString();
}

/** 6 bytes, big-endian: sorts as numbers do. */
export function offsetText(offset: number): string {
  const high = Math.floor(offset / 0x1_0000_0000);
  const low = offset >>> 0;
  return String.fromCharCode(
    (high >>> 8) & 0xff,
    high & 0xff,
    low >>> 24,
    (low >>> 16) & 0xff,
    (low >>> 8) & 0xff,
    low & 0xff,
  );
}

export function stampText(hlc: bigint): string {
  return wordsText(Number(hlc >> 32n), Number(hlc & 0xffff_ffffn));
}

/** 8 bytes, big-endian, of two words of 32 bits. */
export function wordsText(high: number, low: number): string {
  return String.fromCharCode(
    high >>> 24,
    (high >>> 16) & 0xff,
    (high >>> 8) & 0xff,
    high & 0xff,
    low >>> 24,
    (low >>> 16) & 0xff,
    (low >>> 8) & 0xff,
    low & 0xff,
  );
}

/** A text of at most 255 bytes with its length before it, so that it may hold any character. */
function counted(text: string): string {
  const bytes = utf8(text);
  return String.fromCharCode(bytes.length) + bytes;
}

/** Builds the keys of one tenant in one shard. */
export class ShardKeys {
  readonly tenant: string;
  readonly partition: number;
  readonly #shard: string;
  readonly #heads: string;
  readonly #histories: string;
  readonly #ids: string;

  constructor(tenant: string, partition: number) {
    this.tenant = tenant;
    this.partition = partition;
    this.#shard = `${tenant}\x00${String.fromCharCode(partition >>> 8, partition & 0xff)}`;
    this.#heads = this.table('h');
    this.#histories = this.table('v');
    this.#ids = this.table('i');
  }

  /** What all keys of a table begin with. */
  table(table: Table): string {
    return this.#shard + table;
  }

  head(entity: string): string {
    return this.#heads + entity;
  }

  memories(entity: string): string {
    return `${this.table('m') + entity}\x00`;
  }

  memory(entity: string, memoryId: string): string {
    return this.memories(entity) + utf8(memoryId);
  }

  until(entity: string, offset: number): string {
    return `${this.table('u') + entity}\x00${offsetText(offset)}`;
  }

  histories(entity: string): string {
    return `${this.#histories + entity}\x00`;
  }

  event(entity: string, offset: number): string {
    return this.histories(entity) + offsetText(offset) + EVENT_KIND;
  }

  snapshot(entity: string, offset: number): string {
    return this.histories(entity) + offsetText(offset) + SNAPSHOT_KIND;
  }

  ids(id: string): string {
    return this.#ids + counted(id);
  }

  id(id: string, entity: string): string {
    return this.#ids + counted(id) + entity;
  }

  effects(causeId: string): string {
    return this.table('e') + counted(causeId);
  }

  /** @param causeEntity empty when the cause was named by its id alone */
  effect(causeId: string, causeEntity: string, entity: string, offset: number): string {
    return `${this.effects(causeId) + causeEntity}\x00${entity}\x00${offsetText(offset)}`;
  }

  liveAttribute(pathAndValue: string, entity: string): string {
    return this.table('x') + pathAndValue + entity;
  }

  formerAttribute(pathAndValue: string, entity: string, from: number): string {
    return `${this.table('y') + pathAndValue + entity}\x00${offsetText(from)}`;
  }

  erased(entity: string): string {
    return this.table('z') + entity;
  }

  /** Of {@link PLANE}. */
  clearing(tenant: string, entity: string): string {
    return `${this.table('q') + tenant}\x00${entity}`;
  }

  batch(lastOffset: number): string {
    return this.table('b') + offsetText(lastOffset);
  }

  stamp(hlc: bigint, lastOffset: number): string {
    return this.table('t') + stampText(hlc) + offsetText(lastOffset);
  }

  published(): string {
    return this.table('o');
  }

  shard(): string {
    return this.table('s');
  }

  pruning(): string {
    return this.table('p');
  }
}

/** Reads the entity of a key of table `h`. */
export function entityOfHeadKey(key: Buffer): string {
  return key.toString('latin1', key.indexOf(0) + 4);
}

/** Whether a row of a history is an event's, and not a stored state's. */
export function isEventRow(key: Uint8Array): boolean {
  return key[key.length - 1] === EVENT_KIND_BYTE;
}

/** Reads the offset at the end of a key. */
export function offsetAtEnd(key: Buffer, trailingBytes = 0): number {
  return key.readUIntBE(key.length - 6 - trailingBytes, 6);
}

/** The entity of a partition key, see `partitionKey` of the contracts. */
export function splitPartitionKey(key: string): { tenant: string; entity: string } {
  const colon = key.indexOf(':');
  if (colon < 0) return { tenant: DEFAULT_TENANT, entity: key };
  return { tenant: key.slice(0, colon), entity: key.slice(colon + 1) };
}
