const SEED = 0x9747b28c;
const M = 0x5bd1e995;

/** Keys up to this many UTF-16 units are hashed from a kept buffer, without an allocation. */
const SCRATCH_UNITS = 1024;
const scratch = Buffer.allocUnsafeSlow(SCRATCH_UNITS * 3);

/**
 * The 32-bit murmur2 hash as Kafka's Java client computes it
 * (`org.apache.kafka.common.utils.Utils.murmur2`), signed like a Java int.
 */
export function murmur2(bytes: Uint8Array, length: number = bytes.length): number {
  let h = SEED ^ length;
  const whole = length & ~3;
  for (let i = 0; i < whole; i += 4) {
    let k =
      (bytes[i] as number) |
      ((bytes[i + 1] as number) << 8) |
      ((bytes[i + 2] as number) << 16) |
      ((bytes[i + 3] as number) << 24);
    k = Math.imul(k, M);
    k ^= k >>> 24;
    h = Math.imul(h, M) ^ Math.imul(k, M);
  }
  const rest = length - whole;
  if (rest > 2) h ^= (bytes[whole + 2] as number) << 16;
  if (rest > 1) h ^= (bytes[whole + 1] as number) << 8;
  if (rest > 0) h = Math.imul(h ^ (bytes[whole] as number), M);
  h ^= h >>> 13;
  h = Math.imul(h, M);
  return h ^ (h >>> 15);
}

/** murmur2 of a text's UTF-8 bytes. */
export function murmur2OfText(key: string): number {
  if (key.length > SCRATCH_UNITS) return murmur2(Buffer.from(key, 'utf8'));
  return murmur2(scratch, scratch.write(key, 0, 'utf8'));
}

/** The partition that Kafka's Java client would choose for a key. */
export function partitionOf(key: string, partitions: number): number {
  return (murmur2OfText(key) & 0x7fffffff) % partitions;
}

/** {@link partitionOf} for the first `length` bytes, a key in UTF-8. */
export function partitionOfBytes(bytes: Uint8Array, length: number, partitions: number): number {
  return (murmur2(bytes, length) & 0x7fffffff) % partitions;
}
