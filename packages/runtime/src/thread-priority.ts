import { readdirSync, readFileSync } from 'node:fs';
import { getPriority, setPriority } from 'node:os';

/**
 * Lets the threads of a name take the time that others leave: what they do has longer to be done.
 * On Linux, where each thread has a niceness of its own (`setpriority(2)`); elsewhere, and where the
 * system does not allow it, nothing changes.
 * @param niceness on the scale of `nice`: 0 is usual, 10 is about a tenth of its share
 */
export function yieldToOthers(name: string, niceness: number): void {
  if (process.platform !== 'linux') return;
  try {
    for (const thread of threadsNamed(name)) {
      // Where all of the process yields more than that, it goes on doing so.
      setPriority(thread, Math.max(niceness, getPriority(thread)));
    }
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
