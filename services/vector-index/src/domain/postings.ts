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

/** Decoded postings: `rows[i]` has the term `frequencies[i]` times, for `i` below `count`. */
export class PostingList {
  rows = new Uint32Array(1024);
  frequencies = new Uint32Array(1024);
  count = 0;

  add(row: number, frequency: number): void {
    this.reserve(1);
    this.rows[this.count] = row;
    this.frequencies[this.count++] = frequency;
  }

  reserve(more: number): void {
    const needed = this.count + more;
    if (needed <= this.rows.length) return;
    const size = Math.max(needed, this.rows.length * 2);
    const { rows, frequencies } = this;
    this.rows = new Uint32Array(size);
    this.frequencies = new Uint32Array(size);
    this.rows.set(rows);
    this.frequencies.set(frequencies);
  }
}

/** Appends what the bytes hold to `list`. @throws RangeError where the bytes are no postings. */
export function decodePostings(bytes: Uint8Array, list: PostingList): void {
  const reader = { bytes, at: 0 };
  while (reader.at < bytes.length) {
    const count = next(reader);
    const size = next(reader);
    if (count > bytes.length || reader.at + size > bytes.length) throw damaged();
    const end = reader.at + size;
    list.reserve(count);
    const { rows, frequencies } = list;
    let n = list.count;
    let row = 0;
    let { at } = reader;
    for (let i = 0; i < count; i++) {
      // Nearly all numbers are one byte.
      const step = bytes[at] ?? 0x80;
      const frequency = bytes[at + 1] ?? 0x80;
      if (step < 0x80 && frequency < 0x80) {
        row += step;
        rows[n] = row;
        frequencies[n++] = frequency;
        at += 2;
        continue;
      }
      reader.at = at;
      row += next(reader);
      rows[n] = row;
      frequencies[n++] = next(reader);
      at = reader.at;
    }
    if (at !== end) throw damaged();
    reader.at = at;
    list.count = n;
  }
}

function next(reader: { bytes: Uint8Array; at: number }): number {
  let value = 0;
  for (let scale = 1; scale <= 2 ** 28; scale *= 128) {
    const byte = reader.bytes[reader.at++];
    if (byte === undefined) throw damaged();
    value += (byte & 0x7f) * scale;
    if (byte < 0x80) return value;
  }
  throw damaged();
}

function damaged(): RangeError {
  return new RangeError('stored postings are damaged');
}

function push(bytes: number[], value: number): void {
  let rest = value;
  while (rest >= 0x80) {
    bytes.push((rest % 0x80) | 0x80);
    rest = Math.floor(rest / 0x80);
  }
  bytes.push(rest);
}
