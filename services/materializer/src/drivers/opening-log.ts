import { DEFAULT_TENANT, MemplaneError } from '@memplane/contracts';
import type { LogBounds, LogInfo, LogReader, LogReadOptions, LogRecord } from '@memplane/event-log';
import { openEvent, sealedKeyId, UnsealError } from '@memplane/runtime/sealing';
import { splitPartitionKey } from '../domain/keys.ts';
import type { RecordArchive } from './feed-sources.ts';
import type { KeyName, UnwrappedKeys } from './unwrapped-keys.ts';

/** Opens what is sealed, wherever records come from. Those whose key is gone have an empty payload. */
export class RecordOpener {
  readonly #keys: UnwrappedKeys;

  constructor(keys: UnwrappedKeys) {
    this.#keys = keys;
  }

  /** @throws MemplaneError `dependency_unavailable` without event-ingest, `storage_damaged` */
  async open(records: LogRecord[]): Promise<LogRecord[]> {
    const names = new Map<string, KeyName>();
    for (const { key, value } of records) {
      const keyId = sealedKeyId(value);
      if (keyId === undefined || names.has(keyId)) continue;
      const { tenant = DEFAULT_TENANT, entity } = splitPartitionKey(key);
      names.set(keyId, { tenant, entity, keyId });
    }
    if (names.size === 0) return records;
    const keys = await this.#keys.get([...names.values()]);
    return records.map((record) => {
      const keyId = sealedKeyId(record.value);
      if (keyId === undefined) return record;
      try {
        return { ...record, value: openEvent(record.value, keys.get(keyId)) };
      } catch (cause) {
        if (!(cause instanceof UnsealError)) throw cause;
        const { partition, offset } = record;
        throw new MemplaneError(
          'storage_damaged',
          `The record at partition ${partition}, offset ${offset} can not be opened.`,
          { cause, extra: { partition, offset } },
        );
      }
    });
  }

  /** The same archive, opened. */
  archive(archive: RecordArchive): RecordArchive {
    return {
      read: async (partition, from, options) =>
        this.open(await archive.read(partition, from, options)),
    };
  }
}

/** A log whose records are opened as they are read. */
export class OpeningLog implements LogReader {
  /** As it is. */
  readonly stored: LogReader;
  readonly #opener: RecordOpener;

  constructor(log: LogReader, opener: RecordOpener) {
    this.stored = log;
    this.#opener = opener;
  }

  get info(): LogInfo {
    return this.stored.info;
  }

  bounds(partition: number): Promise<LogBounds> {
    return this.stored.bounds(partition);
  }

  async read(partition: number, from: number, options: LogReadOptions): Promise<LogRecord[]> {
    return this.#opener.open(await this.stored.read(partition, from, options));
  }

  offsetSince(partition: number, timeMs: number): Promise<number> {
    return this.stored.offsetSince(partition, timeMs);
  }

  waitBeyond(ends: ReadonlyMap<number, number>, signal: AbortSignal): Promise<void> {
    return this.stored.waitBeyond(ends, signal);
  }

  close(): Promise<void> {
    return this.stored.close();
  }
}
