import type { LogWriter } from '@memplane/event-log';
import type { DuplicateRecord, FirstAppend } from '../domain/duplicate-record.ts';
import { RecentIds } from '../domain/recent-ids.ts';

type LoadedAppend = Omit<FirstAppend, 'contentKey'> & { readonly digest: string };

/**
 * The record of recent ids of a plane with one writer: in memory, and filled from the log itself
 * at the start, so that it is exactly as durable as the events.
 */
export class EmbeddedDuplicates implements DuplicateRecord {
  readonly #ids: RecentIds;

  /** @param entriesMax how many identities are kept; about 60 bytes each */
  constructor(entriesMax: number) {
    this.#ids = new RecentIds(entriesMax);
  }

  get size(): number {
    return this.#ids.size;
  }

  /** Reads what the log's newest records tell, at most `entriesMax`. */
  async load(log: Pick<LogWriter, 'recent'>, entriesMax: number): Promise<void> {
    const newestFirst: { idKey: string; first: LoadedAppend }[] = [];
    for await (const record of log.recent(entriesMax)) {
      newestFirst.push({
        idKey: bufferOf(record.idDigest).toString('latin1'),
        first: {
          partition: record.partition,
          offset: record.offset,
          hlc: record.hlc,
          digest: bufferOf(record.contentDigest).toString('base64url'),
        },
      });
    }
    // Oldest first: the ring forgets in that order, and the first of two copies counts.
    for (let i = newestFirst.length - 1; i >= 0; i--) {
      const entry = newestFirst[i];
      if (entry) this.#ids.add(entry.idKey, entry.first);
    }
  }

  find(idKeys: readonly string[]): readonly (FirstAppend | undefined)[] {
    return idKeys.map((idKey) => this.#ids.get(idKey));
  }

  remember(idKey: string, first: LoadedAppend): void {
    this.#ids.add(idKey, first);
  }
}

function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
