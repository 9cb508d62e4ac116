import { createHash } from 'node:crypto';
import { createZstdCompress } from 'node:zlib';
import { type BlobStore, throughCodec } from '@memplane/blob-store';
import { type BackupPart, damagedPart } from './manifest.ts';

type PartOf = Omit<BackupPart, 'sizeBytes' | 'sha256'>;

/** Writes the parts of a backup, and keeps what the manifest says of them. */
export class PartWriter {
  readonly parts: BackupPart[] = [];
  readonly blobs: BlobStore;
  readonly #onBytes: (bytes: number) => void;

  constructor(blobs: BlobStore, onBytes: (bytes: number) => void = () => {}) {
    this.blobs = blobs;
    this.#onBytes = onBytes;
  }

  async write(part: PartOf, content: AsyncIterable<Uint8Array> | Uint8Array): Promise<void> {
    const hash = createHash('sha256');
    let sizeBytes = 0;
    async function* measured(onBytes: (bytes: number) => void): AsyncGenerator<Uint8Array> {
      for await (const chunk of content instanceof Uint8Array ? [content] : content) {
        hash.update(chunk);
        sizeBytes += chunk.length;
        onBytes(chunk.length);
        yield chunk;
      }
    }
    await this.blobs.put(part.name, measured(this.#onBytes));
    this.parts.push({ ...part, sizeBytes, sha256: hash.digest('hex') });
  }
}

/**
 * The bytes of a part. They count only once it has ended without an error: its digest is checked at
 * the end.
 * @throws MemplaneError `storage_damaged` for one that is missing or other than it was written
 */
export async function* verifiedBytes(blobs: BlobStore, part: BackupPart): AsyncGenerator<Buffer> {
  const hash = createHash('sha256');
  let bytes = 0;
  try {
    for await (const chunk of blobs.stream(part.name)) {
      hash.update(chunk);
      bytes += chunk.length;
      if (bytes > part.sizeBytes) break;
      yield chunk;
    }
  } catch (error) {
    if ((error as { code?: string }).code !== 'not_found') throw error;
    throw damagedPart(part.name, 'it is missing', error);
  }
  if (bytes !== part.sizeBytes) {
    throw damagedPart(part.name, `it should have ${part.sizeBytes} bytes, and ends at ${bytes}`);
  }
  if (hash.digest('hex') !== part.sha256) throw damagedPart(part.name, 'its digest does not hold');
}

/** Compresses as it comes; a failure of the source breaks it off. */
export function zstd(content: AsyncIterable<Uint8Array>): AsyncGenerator<Buffer> {
  return throughCodec(content, createZstdCompress());
}
