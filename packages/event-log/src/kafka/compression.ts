import {
  constants,
  gunzipSync,
  gzipSync,
  type ZlibOptions,
  type ZstdOptions,
  zstdCompressSync,
  zstdDecompressSync,
} from 'node:zlib';
import { compressionsAlgorithmsByBitmask } from '@platformatic/kafka';

/** What batches are written with. Whatever Kafka knows is read, LZ4 and Snappy too. */
export type Compression = 'none' | 'gzip' | 'zstd';

/** The lowest level: on events it costs a third of the next ones and saves as much. */
const GZIP: ZlibOptions = { level: 1 };
const ZSTD: ZstdOptions = { params: { [constants.ZSTD_c_compressionLevel]: 1 } };

/** A batch may not unpack to more than this: a damaged or hostile one must not fill the memory. */
export const UNPACKED_BYTES_MAX = 64 * 1024 * 1024;

/** Batches smaller than this are not worth the work. */
const COMPRESS_BYTES_MIN = 512;

const BITS = { none: 0, gzip: 1, zstd: 4 } as const;

export function isCompression(name: string): name is Compression {
  return Object.hasOwn(BITS, name);
}

/** The packed bytes and the bits that go into the batch's attributes. */
export function pack(bytes: Buffer, compression: Compression): { bytes: Buffer; bits: number } {
  if (compression === 'none' || bytes.length < COMPRESS_BYTES_MIN) return { bytes, bits: 0 };
  const packed = compression === 'zstd' ? zstdCompressSync(bytes, ZSTD) : gzipSync(bytes, GZIP);
  return packed.length < bytes.length
    ? { bytes: packed, bits: BITS[compression] }
    : { bytes, bits: 0 };
}

/** @throws Error for bits that nobody knows or bytes that do not unpack */
export function unpack(bytes: Buffer, bits: number): Buffer {
  switch (bits) {
    case 0:
      return bytes;
    case BITS.gzip:
      return gunzipSync(bytes, { maxOutputLength: UNPACKED_BYTES_MAX });
    case BITS.zstd:
      return zstdDecompressSync(bytes, { maxOutputLength: UNPACKED_BYTES_MAX });
    default: {
      const algorithm = Object.values(compressionsAlgorithmsByBitmask).find(
        ({ bitmask }) => bitmask === bits,
      );
      if (!algorithm) throw new Error(`unknown compression ${bits}`);
      return algorithm.decompressSync(bytes);
    }
  }
}
