import { createZstdDecompress } from 'node:zlib';
import { type BlobStore, throughCodec } from '@memplane/blob-store';
import { MemplaneError } from '@memplane/contracts';
import type { LogRecord } from '@memplane/event-log';
import { decodeSegment } from '@memplane/materializer/backup';
import { linesOf } from '../operate/ndjson.ts';
import { CommandError, EXIT } from '../output/exit-codes.ts';
import {
  type BackupPart,
  damagedPart,
  decodeManifest,
  MANIFEST_NAME,
  type Manifest,
} from './manifest.ts';
import { verifiedBytes } from './part-writer.ts';

/** Reads a backup, and lets nothing pass that is not as it was written. */
export class BackupReader {
  readonly manifest: Manifest;
  readonly #blobs: BlobStore;

  /** Of a manifest that is at hand; it need not be in the place yet. */
  constructor(blobs: BlobStore, manifest: Manifest) {
    this.#blobs = blobs;
    this.manifest = manifest;
  }

  /** @throws CommandError where there is no backup; MemplaneError `storage_damaged` */
  static async open(blobs: BlobStore): Promise<BackupReader> {
    let bytes: Buffer;
    try {
      bytes = await blobs.get(MANIFEST_NAME);
    } catch (error) {
      if (!(error instanceof MemplaneError) || error.code !== 'not_found') throw error;
      throw new CommandError(
        `There is no ${MANIFEST_NAME}: no backup, or one that never came to its end.`,
        EXIT.notFound,
      );
    }
    return new BackupReader(blobs, decodeManifest(bytes));
  }

  /** The parts of a kind, in the order of the manifest. */
  parts(kind: BackupPart['kind']): BackupPart[] {
    return this.manifest.parts.filter((part) => part.kind === kind);
  }

  /**
   * The records of a partition in batches, from its start to its cut, none missing.
   * @throws MemplaneError `storage_damaged`, naming the part and where known the offset
   */
  async *records(partition: number): AsyncGenerator<readonly LogRecord[]> {
    const { cut } = this.manifest;
    let next = cut.starts[partition] ?? 0;
    for (const part of this.parts('events')) {
      if (part.partition !== partition) continue;
      if (part.firstOffset !== next) throw damagedPart(part.name, `offset ${next} is missing`);
      const { header, records } = await this.#segment(part);
      const { logId, epoch } = header;
      if (header.partition !== partition || logId !== cut.logId || epoch !== cut.epoch) {
        throw damagedPart(part.name, 'it is of another log or partition');
      }
      for (const { offset } of records) {
        if (offset !== next) throw damagedPart(part.name, `offset ${next} is missing`);
        next++;
      }
      yield records;
    }
    const last = cut.offsets[partition] ?? -1;
    if (next === last + 1 || (last < next && next === cut.starts[partition])) return;
    throw damagedPart(MANIFEST_NAME, `offset ${next} of partition ${partition} is in no part`);
  }

  /** The bytes of a part; see {@link verifiedBytes}. */
  bytes(part: BackupPart): AsyncGenerator<Buffer> {
    return verifiedBytes(this.#blobs, part);
  }

  /**
   * The lines of a compressed part, parsed.
   * @throws MemplaneError `storage_damaged`
   */
  async *lines(part: BackupPart): AsyncGenerator<unknown> {
    const decompressed = throughCodec(this.bytes(part), createZstdDecompress());
    try {
      for await (const line of linesOf(decompressed)) yield JSON.parse(line.toString('utf8'));
    } catch (error) {
      if (error instanceof MemplaneError) throw error;
      throw damagedPart(part.name, 'it can not be decompressed', error);
    }
  }

  async #segment(part: BackupPart): ReturnType<typeof decodeSegment> {
    const chunks = await Array.fromAsync(this.bytes(part));
    try {
      return await decodeSegment(Buffer.concat(chunks), part.name);
    } catch (error) {
      throw damagedPart(part.name, (error as Error).message, error);
    }
  }
}
