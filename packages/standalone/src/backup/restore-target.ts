import type { BlobStore } from '@memplane/blob-store';
import type { NewReplica } from '@memplane/crdt-sync/backup';
import type { NewStrongStore } from '@memplane/event-ingest/backup';
import type { LogWriter } from '@memplane/event-log';

/** The stores of a plane that is to be: all of them new, and used by nobody. */
export interface RestoreTarget {
  /** Begins at the offsets at which the backup's does. */
  readonly log: LogWriter;
  readonly archive: BlobStore;
  /** Each gets all values. */
  readonly replicas: readonly NewReplica[];
  readonly strong: NewStrongStore;
  /** Of the instances of vector-index; each gets all computed vectors. */
  readonly indexDirs: readonly string[];
  close(): Promise<void>;
}

/** Opens one store after the other, and closes those that are open when one can't be opened. */
export async function openTarget(
  open: (opened: (close: () => unknown) => void) => Promise<Omit<RestoreTarget, 'close'>>,
): Promise<RestoreTarget> {
  const closes: (() => unknown)[] = [];
  const close = async () => {
    for (const each of closes.splice(0).reverse()) await each();
  };
  try {
    return { ...(await open((each) => closes.push(each))), close };
  } catch (error) {
    await close();
    throw error;
  }
}
