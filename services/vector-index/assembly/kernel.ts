// The arithmetic of vector search, in AssemblyScript. It owns no memory: every pointer comes from
// src/drivers/kernel.ts, which lays out the arena. All of it is integer arithmetic or fixed order
// float, so the same rows always give the same answer.

/** A distance that stands for "this row is filtered out". */
const FILTERED: u8 = 255;

/**
 * Hamming distance (256 bits, capped at 254) of `rows` signatures to the query. Writes one byte a
 * row to `out` and counts them in `histogram` (256 × u32, not cleared here). Rows whose bit is not
 * set in `bitmap` (indexed by `rowOf[i]`; 0: no filter) get 255 and are not counted.
 */
export function hamming(
  bits: usize, rows: u32, query: usize, bitmap: usize, rowOf: usize, out: usize, histogram: usize,
): void {
  const q0 = load<u64>(query), q1 = load<u64>(query, 8);
  const q2 = load<u64>(query, 16), q3 = load<u64>(query, 24);
  for (let i: u32 = 0; i < rows; i++) {
    if (bitmap != 0) {
      const row = load<u32>(rowOf + (<usize>i << 2));
      if (((load<u8>(bitmap + (row >> 3)) >> <u8>(row & 7)) & 1) == 0) {
        store<u8>(out + i, FILTERED);
        continue;
      }
    }
    const at = bits + (<usize>i << 5);
    let d = <u32>(
      popcnt<u64>(load<u64>(at) ^ q0) + popcnt<u64>(load<u64>(at, 8) ^ q1) +
      popcnt<u64>(load<u64>(at, 16) ^ q2) + popcnt<u64>(load<u64>(at, 24) ^ q3)
    );
    d = min<u32>(d, 254);
    store<u8>(out + i, <u8>d);
    // two banks by parity, so that equal neighbours do not wait for each other's store
    const slot = histogram + ((i & 1) << 10) + (<usize>d << 2);
    store<u32>(slot, load<u32>(slot) + 1);
  }
}

/**
 * Writes the indices (u32, `base` added) of all rows whose distance is at most `limit` to `out`,
 * in order; answers how many.
 */
export function collect(distances: usize, rows: u32, limit: u32, base: u32, out: usize): u32 {
  const wide = i8x16.splat(<i8>limit);
  let count: u32 = 0;
  let i: u32 = 0;
  for (; i + 16 <= rows; i += 16) {
    const mask = i8x16.bitmask(i8x16.le_u(v128.load(distances + i), wide));
    if (mask == 0) continue;
    let rest = <u32>mask;
    while (rest != 0) {
      const bit = ctz<u32>(rest);
      store<u32>(out + (<usize>count << 2), base + i + bit);
      count++;
      rest &= rest - 1;
    }
  }
  for (; i < rows; i++) {
    if (<u32>load<u8>(distances + i) <= limit) {
      store<u32>(out + (<usize>count << 2), base + i);
      count++;
    }
  }
  return count;
}

/** Indices of the rows whose bit is set in `bitmap` (by `rowOf[i]`), as {@link collect} writes them. */
export function collectSet(bitmap: usize, rowOf: usize, rows: u32, base: u32, out: usize): u32 {
  let count: u32 = 0;
  for (let i: u32 = 0; i < rows; i++) {
    const row = load<u32>(rowOf + (<usize>i << 2));
    if (((load<u8>(bitmap + (row >> 3)) >> <u8>(row & 7)) & 1) != 0) {
      store<u32>(out + (<usize>count << 2), base + i);
      count++;
    }
  }
  return count;
}

/**
 * Approximate scores: for `count` indices (minus `base`) the int8 dot product with the query
 * (`stride` × i16, a multiple of 16), times the row's scale. Writes f32.
 */
export function dots(
  codes: usize, scales: usize, stride: u32, query: usize,
  indices: usize, base: u32, count: u32, out: usize,
): void {
  for (let n: u32 = 0; n < count; n++) {
    const i = load<u32>(indices + (<usize>n << 2)) - base;
    const at = codes + <usize>i * stride;
    let a = i32x4.splat(0);
    let b = i32x4.splat(0);
    for (let k: u32 = 0; k < stride; k += 16) {
      const q = query + (<usize>k << 1);
      const x = v128.load(at + k);
      a = i32x4.add(a, i32x4.dot_i16x8_s(i16x8.extend_low_i8x16_s(x), v128.load(q)));
      b = i32x4.add(b, i32x4.dot_i16x8_s(i16x8.extend_high_i8x16_s(x), v128.load(q, 16)));
    }
    a = i32x4.add(a, b);
    const sum = i32x4.extract_lane(a, 0) + i32x4.extract_lane(a, 1) +
      i32x4.extract_lane(a, 2) + i32x4.extract_lane(a, 3);
    store<f32>(out + (<usize>n << 2), <f32>sum * load<f32>(scales + (<usize>i << 2)));
  }
}
