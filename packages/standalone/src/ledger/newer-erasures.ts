import type { LoggedErasure } from '@memplane/event-ingest/backup';
import type { LedgerEntry } from './ledger-object.ts';

export interface KnownErasures {
  /** Those of a ledger. */
  readonly ledger: Iterable<LedgerEntry>;
  /** Those that the backup has records of: erased at its cut, or shortly after. */
  readonly own: Iterable<LoggedErasure>;
}

export interface Ends {
  /** The log of the backup. */
  readonly logId: string;
  /** The last offset of each partition that is restored. */
  readonly offsets: readonly number[];
}

export interface DividedErasures {
  /** Their events are among what is restored. */
  readonly within: readonly LoggedErasure[];
  /** All that is restored of their entities is of before them. */
  readonly newer: readonly LoggedErasure[];
}

/**
 * Which erasures a restored log knows already, and which are newer. One of another log counts as known
 * only if the backup has a record of it: planes that are restored keep those, so it is newer otherwise.
 */
export function dividedAt({ ledger, own }: KnownErasures, ends: Ends): DividedErasures {
  const within: LoggedErasure[] = [];
  const newer: LoggedErasure[] = [];
  const seen = new Set<string>();
  const add = (erasure: LoggedErasure, isOfThisLog: boolean) => {
    if (seen.has(erasure.id)) return;
    seen.add(erasure.id);
    const { partition, offset } = erasure.event;
    const isWithin = isOfThisLog && offset <= (ends.offsets[partition] ?? -1);
    (isWithin ? within : newer).push(erasure);
  };
  for (const erasure of own) add(erasure, true);
  for (const { erasure: id, tenant, entity, requestedAt, event, logId } of ledger) {
    add(
      { id, tenant, entity, requestedAt, event, isDone: false, stores: [] },
      logId === ends.logId,
    );
  }
  return { within, newer };
}
