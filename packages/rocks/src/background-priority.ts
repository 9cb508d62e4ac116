import { readdirSync, readFileSync } from 'node:fs';
import { setPriority } from 'node:os';

/** How RocksDB names its threads that compact. All stores of the process share them. */
export const COMPACTION_THREAD = 'rocksdb:low';
/** On the scale of `nice`: about a tenth of the share of a thread with the usual 0. */
export const COMPACTION_NICENESS = 10;

/**
 * Lets compaction take the time that nobody else wants: it has hours, and what is applied and read
 * meanwhile has milliseconds. On Linux, where each thread has a niceness of its own (`setpriority(2)`);
 * elsewhere, and where the system does not allow it, nothing changes.
 */
export function yieldToOthers(): void {
  if (process.platform !== 'linux') return;
  try {
    for (const thread of threadsNamed(COMPACTION_THREAD)) setPriority(thread, COMPACTION_NICENESS);
  } catch {
    // A thread may be gone meanwhile, and `/proc` may be out of reach: only the order of work differs.
  }
}

/** The ids of this process's threads of a name. */
export function threadsNamed(name: string): number[] {
  return readdirSync('/proc/self/task')
    .filter((id) => readFileSync(`/proc/self/task/${id}/comm`, 'utf8').trim() === name)
    .map(Number);
}
