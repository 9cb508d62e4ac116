/* Follows a log in a worker thread and posts the offsets it sees. */
import { parentPort, workerData } from 'node:worker_threads';
import { openEmbeddedReader } from '../embedded/open.ts';
import type { SharedLogState } from '../embedded/shared-state.ts';
import { follow } from '../follow.ts';

const { dir, shared, until } = workerData as { dir: string; shared: SharedLogState; until: number };
const reader = await openEmbeddedReader({ dir, shared });
const controller = new AbortController();
parentPort?.postMessage('ready');
for await (const records of follow(reader, 0, 0, controller.signal)) {
  for (const record of records) parentPort?.postMessage(record.offset);
  if ((records.at(-1)?.offset ?? 0) >= until) controller.abort();
}
await reader.close();
