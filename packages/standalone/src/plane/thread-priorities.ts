import { yieldToOthers } from '@memplane/runtime/thread-priority';

/** How Node names its threads that compile and mark for all heaps: who waits for them helps along. */
const HELPER_THREAD = 'V8Worker';
const HELPER_NICENESS = 5;

/** A view is awaited within tens of milliseconds, a search within hundreds: two thirds of a share. */
const INDEX_THREAD = 'vector-index';
const INDEX_NICENESS = 2;

/** At a start the first search is awaited as much as the first read, and both wait for compiled code. */
const AFTER_START_MS = 10_000;

/** The order of work where the machine has fewer cores than the plane has threads. */
export function setThreadPriorities(): void {
  const set = () => {
    yieldToOthers(HELPER_THREAD, HELPER_NICENESS);
    yieldToOthers(INDEX_THREAD, INDEX_NICENESS);
  };
  setTimeout(set, AFTER_START_MS).unref();
}
