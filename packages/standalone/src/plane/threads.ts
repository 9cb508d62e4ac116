import { Worker } from 'node:worker_threads';
import type { ServiceName } from '@memplane/contracts';
import { workerUrl } from '@memplane/runtime/worker-url';

/** Threads that load their code already, and have not been asked for yet. */
const early = new Map<ServiceName, Worker>();

/**
 * Starts the thread of a service before it is known what it has to do, so that it loads its code
 * while the main thread loads its own. Until it is asked for, the process may end without it.
 */
export function startThreadEarly(name: ServiceName): void {
  const thread = newThread(name);
  thread.unref();
  early.set(name, thread);
}

/** The thread of a service: one that was started early, or a new one. */
export function threadOf(name: ServiceName): Worker {
  const thread = early.get(name);
  if (thread === undefined) return newThread(name);
  early.delete(name);
  thread.ref();
  return thread;
}

function newThread(name: ServiceName): Worker {
  return new Worker(workerUrl(import.meta.url, name), { name, stdout: false, stderr: false });
}
