import { setImmediate } from 'node:timers/promises';
import { DIGESTS_WORDS, type LogWriter } from '@memplane/event-log';
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

  /** Reads what the log's newest records tell, at most `entriesMax`; only before anything else. */
  async load(log: Pick<LogWriter, 'recent'>, entriesMax: number): Promise<void> {
    for await (const batch of log.recent(entriesMax)) {
      for (let i = 0; i < batch.count; i++) {
        this.#ids.addOlder(batch.digests, i * DIGESTS_WORDS, {
          partition: batch.partitions[i] ?? 0,
          offset: batch.offsets[i] ?? 0,
          hlc: batch.hlcs[i] ?? 0n,
        });
      }
      // The thread has other services to start meanwhile.
      await setImmediate();
    }
  }

  find(idKeys: readonly string[]): readonly (FirstAppend | undefined)[] {
    return idKeys.map((idKey) => this.#ids.get(idKey));
  }

  remember(idKey: string, first: LoadedAppend): void {
    this.#ids.add(idKey, first);
  }

  shared(): undefined {}
}
