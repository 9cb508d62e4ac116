import { yieldToOthers } from '@memplane/runtime/thread-priority';

/** How RocksDB names its threads that compact. All stores of the process share them. */
export const COMPACTION_THREAD = 'rocksdb:low';
/** About a tenth of the share of a thread with the usual 0. */
export const COMPACTION_NICENESS = 10;

/** Compaction has hours, and what is applied and read meanwhile has milliseconds. */
export function compactionYields(): void {
  yieldToOthers(COMPACTION_THREAD, COMPACTION_NICENESS);
}
