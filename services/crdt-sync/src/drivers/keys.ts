import { KeyWriter, prefixEnd } from '@memplane/rocks';
import type { KeptType, Ref } from '../domain/port.ts';

/** The replica's own records stand under a tenant that no tenant can be called. */
const REPLICA = '_replica';
/** No two kinds of rows may begin alike; those of a set's pieces are in `piece-keys.ts`. */
const TYPE_BYTES: Readonly<Record<KeptType, number>> = {
  counter: 0x63,
  set: 0x73,
  register: 0x72,
  flag: 0x66,
  map: 0x64,
};
const ELEMENT = 0x65;
const OP = 0x6f;
const OP_ORDER = 0x70;
const OP_COUNT = 0x6a;
/** What stood beside operation ids before they said where they were counted. */
const FORMER_OP_RING = 0x71;
const FORMER_OP_COUNT = 0x6e;
const INCARNATION = 0x69;
const ALERTS = 0x61;
const CLOCK = 0x6b;
const MEMBERSHIP = 0x6d;

const STAMP_BYTES = 8;

const writer = new KeyWriter();

export function valueKey(type: KeptType, ref: Ref): Buffer {
  return writer.begin(ref.tenant).u8(TYPE_BYTES[type]).raw(latin(ref.name)).finish();
}

export function nameOfValueKey(
  key: Buffer,
): { tenant: string; type: KeptType; name: string } | undefined {
  const zero = key.indexOf(0);
  const byte = key[zero + 1];
  const type = (Object.keys(TYPE_BYTES) as KeptType[]).find((each) => TYPE_BYTES[each] === byte);
  if (type === undefined) return undefined;
  return { tenant: key.toString('latin1', 0, zero), type, name: key.toString('latin1', zero + 2) };
}

/** All values of one type of a tenant, from `after` (exclusive) on. */
export function valueRange(tenant: string, type: KeptType, after: string | undefined) {
  const start = writer.begin(tenant).u8(TYPE_BYTES[type]).finish();
  const end = end_(start);
  return after === undefined
    ? { gte: start, lt: end }
    : { gt: Buffer.concat([start, latin(after)]), lt: end };
}

export function elementKey(ref: Ref, element: string): Buffer {
  return writer.begin(ref.tenant).u8(ELEMENT).text(ref.name).raw(Buffer.from(element)).finish();
}

export function elementRange(ref: Ref, after?: string) {
  const start = writer.begin(ref.tenant).u8(ELEMENT).text(ref.name).finish();
  const end = end_(start);
  return after === undefined ? { gte: start, lt: end } : { gt: elementKey(ref, after), lt: end };
}

export function opKey(ref: Ref, opId: string): Buffer {
  return writer.begin(ref.tenant).u8(OP).text(ref.name).raw(Buffer.from(opId)).finish();
}

/** All operation ids of a counter, in order. */
export function opRange(ref: Ref) {
  const start = opKey(ref, '');
  return { gte: start, lt: end_(start) };
}

/** The place of a counter's operation id in the order of stamps. */
export function opOrderKey(ref: Ref, hlc: bigint, opId: string): Buffer {
  const stamp = Buffer.alloc(STAMP_BYTES);
  stamp.writeBigUInt64BE(hlc);
  const place = Buffer.concat([stamp, Buffer.from(opId)]);
  return writer.begin(ref.tenant).u8(OP_ORDER).text(ref.name).raw(place).finish();
}

/** All places in that order. */
export function opOrderRange(ref: Ref) {
  const start = writer.begin(ref.tenant).u8(OP_ORDER).text(ref.name).finish();
  return { gte: start, lt: end_(start) };
}

/** The operation id whose place a key is. */
export function opIdOfOrderKey(ref: Ref, key: Buffer): string {
  return key.toString('utf8', opOrderRange(ref).gte.length + STAMP_BYTES);
}

export function formerOpRingRange(ref: Ref) {
  const start = writer.begin(ref.tenant).u8(FORMER_OP_RING).text(ref.name).finish();
  return { gte: start, lt: end_(start) };
}

export function formerOpCountKey(ref: Ref): Buffer {
  return writer.begin(ref.tenant).u8(FORMER_OP_COUNT).raw(latin(ref.name)).finish();
}

export function opCountKey(ref: Ref): Buffer {
  return writer.begin(ref.tenant).u8(OP_COUNT).raw(latin(ref.name)).finish();
}

export function incarnationKey(incarnation: string): Buffer {
  return writer.begin(REPLICA).u8(INCARNATION).raw(Buffer.from(incarnation, 'hex')).finish();
}

export function alertsKey(): Buffer {
  return writer.begin(REPLICA).u8(ALERTS).finish();
}

export function membershipKey(): Buffer {
  return writer.begin(REPLICA).u8(MEMBERSHIP).finish();
}

export function clockKey(): Buffer {
  return writer.begin(REPLICA).u8(CLOCK).finish();
}

/** Behind all keys of a tenant. */
export function behindTenant(tenant: string): Buffer {
  return Buffer.from(`${tenant}\x01`, 'latin1');
}

export function tenantOf(key: Buffer): string {
  return key.toString('latin1', 0, key.indexOf(0));
}

export function incarnationRange() {
  const start = writer.begin(REPLICA).u8(INCARNATION).finish();
  return { gte: start, lt: end_(start) };
}

function latin(name: string): Buffer {
  return Buffer.from(name, 'latin1');
}

function end_(start: Buffer): Buffer {
  return prefixEnd(start) ?? Buffer.from([0xff]);
}
