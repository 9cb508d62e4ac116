import { createZstdCompress, createZstdDecompress } from 'node:zlib';
import { throughCodec } from '@memplane/blob-store';
import { MemplaneError } from '@memplane/contracts';
import { SNAPSHOT_PREFIX } from '../domain/snapshot-format.ts';

/** What a codec gives at once: each piece costs a turn of the thread pool. */
const CODEC_CHUNK_BYTES = 512 * 1024;

/** The content of a shard's snapshot as a blob holds it. */
export async function* compressed(content: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  yield SNAPSHOT_PREFIX;
  yield* throughCodec(content, createZstdCompress({ chunkSize: CODEC_CHUNK_BYTES }));
}

/** @throws MemplaneError `storage_damaged` for what is no snapshot */
export async function* decompressed(
  blob: AsyncIterable<Buffer>,
  name: string,
): AsyncGenerator<Buffer> {
  let prefix = SNAPSHOT_PREFIX.length;
  async function* body(): AsyncGenerator<Buffer> {
    for await (const chunk of blob) {
      const start = SNAPSHOT_PREFIX.length - prefix;
      const mine = chunk.subarray(0, prefix);
      if (!mine.equals(SNAPSHOT_PREFIX.subarray(start, start + mine.length))) {
        throw damagedBlob(name);
      }
      prefix -= mine.length;
      yield chunk.subarray(mine.length);
    }
  }
  try {
    yield* throughCodec(body(), createZstdDecompress({ chunkSize: CODEC_CHUNK_BYTES }));
  } catch (error) {
    if (error instanceof MemplaneError) throw error;
    throw damagedBlob(name, error);
  }
}

function damagedBlob(name: string, cause?: unknown): MemplaneError {
  return new MemplaneError('storage_damaged', `The snapshot ${name} can not be read.`, {
    cause,
    extra: { blob: name },
  });
}
