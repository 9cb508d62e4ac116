/* Zigzag varints as Kafka's records hold them, for whole numbers within ± 2^52. */

/** How many bytes a number takes. */
export function varintSize(value: number): number {
  let rest = value >= 0 ? value * 2 : -value * 2 - 1;
  let size = 1;
  for (; rest >= 0x80; size++) rest = Math.floor(rest / 0x80);
  return size;
}

/** Writes a number and gives the position behind it. */
export function writeVarint(to: Buffer, at: number, value: number): number {
  let rest = value >= 0 ? value * 2 : -value * 2 - 1;
  let next = at;
  while (rest >= 0x80) {
    to[next++] = (rest % 0x80) | 0x80;
    rest = Math.floor(rest / 0x80);
  }
  to[next++] = rest;
  return next;
}

/** Reads numbers one after the other. */
export class VarintCursor {
  readonly bytes: Buffer;
  at: number;

  constructor(bytes: Buffer, at = 0) {
    this.bytes = bytes;
    this.at = at;
  }

  /** @throws Error at the end of the bytes, or for a number beyond ± 2^52 */
  next(): number {
    const { bytes } = this;
    let byte = bytes[this.at++];
    if (byte !== undefined && byte < 0x80) return byte & 1 ? -(byte + 1) / 2 : byte / 2;
    let value = 0;
    let unit = 1;
    for (; byte !== undefined; byte = bytes[this.at++]) {
      value += (byte & 0x7f) * unit;
      if (value > Number.MAX_SAFE_INTEGER) break;
      if (byte < 0x80) return value % 2 === 1 ? -(value + 1) / 2 : value / 2;
      unit *= 0x80;
    }
    throw new Error('a record is cut off or has a number that is too large');
  }
}
