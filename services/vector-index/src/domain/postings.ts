/**
 * Where a term occurs: (row, frequency) pairs by rising row, as blocks. A block is
 * `count, bytes, first row, frequency, (row − previous row, frequency)…`, all LEB128, so the
 * postings of two segments are joined by joining their bytes.
 */
export function encodePostings(pairs: readonly number[]): Buffer {
  const payload: number[] = [];
  let previous = 0;
  for (let i = 0; i + 1 < pairs.length; i += 2) {
    const row = pairs[i] ?? 0;
    push(payload, row - previous);
    push(payload, pairs[i + 1] ?? 0);
    previous = row;
  }
  const head: number[] = [];
  push(head, pairs.length / 2);
  push(head, payload.length);
  return Buffer.from(head.concat(payload));
}

/** Calls `visit` for every pair. @throws RangeError where the bytes are no postings. */
export function decodePostings(
  bytes: Uint8Array,
  visit: (row: number, frequency: number) => void,
): void {
  let at = 0;
  const next = (): number => {
    let byte = bytes[at++] ?? -1;
    if (byte < 0x80) {
      if (byte < 0) throw new RangeError('postings end early');
      return byte;
    }
    let value = byte & 0x7f;
    for (let shift = 7; shift <= 28; shift += 7) {
      byte = bytes[at++] ?? -1;
      if (byte < 0) throw new RangeError('postings end early');
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
    throw new RangeError('postings hold a number that is too large');
  };
  while (at < bytes.length) {
    const count = next();
    const size = next();
    const end = at + size;
    let row = 0;
    for (let i = 0; i < count; i++) {
      row += next();
      visit(row, next());
    }
    if (at !== end) throw new RangeError('a block of postings has a wrong size');
  }
}

function push(bytes: number[], value: number): void {
  let rest = value;
  while (rest >= 0x80) {
    bytes.push((rest % 0x80) | 0x80);
    rest = Math.floor(rest / 0x80);
  }
  bytes.push(rest);
}
