import { parentPort } from 'node:worker_threads';
import type { LogAdmin, LogReader, SharedLogState } from '@memplane/event-log';
import { openEmbeddedReader } from '@memplane/event-log';
import { createHttpInvoker, type Invoker, type Service, serviceHeaders } from '@memplane/runtime';
import { logDirOf } from './places.ts';
import { type FromWorker, type ToWorker, toFailure, type WorkerSetup } from './worker-protocol.ts';

/** What a service in a worker thread is made of. */
export interface WorkerParts {
  readonly setup: WorkerSetup;
  readonly invoker: Invoker;
  readonly logAdmin: LogAdmin;
  /** Opens the log for reading; it is closed after the service has stopped. */
  openLog(): Promise<LogReader>;
}

type Create = (parts: WorkerParts) => Promise<Service>;

/** Runs one service in this thread, as the main thread asks. */
export function hostService(create: Create): void {
  if (parentPort === null) throw new Error('this file runs as a worker thread only');
  const port = parentPort;
  const send = (message: FromWorker) => port.postMessage(message);
  const admin = new RemoteLogAdmin(send);
  const host = new Host(create, admin);
  const steps = { start: 'started', drain: 'drained', stop: 'stopped' } as const;
  port.on('message', (message: ToWorker) => {
    if (message.kind === 'answer') {
      admin.answer(message);
      return;
    }
    host.handle(message).then(
      () => send({ kind: steps[message.kind] }),
      (error: unknown) => send({ kind: 'failed', failure: toFailure(error) }),
    );
  });
}

class Host {
  readonly #create: Create;
  readonly #admin: LogAdmin;
  #service: Service | undefined;
  readonly #readers: LogReader[] = [];

  constructor(create: Create, admin: LogAdmin) {
    this.#create = create;
    this.#admin = admin;
  }

  async handle(message: Exclude<ToWorker, { kind: 'answer' }>): Promise<void> {
    switch (message.kind) {
      case 'start':
        this.#service = await this.#create(this.#parts(message));
        await this.#service.start();
        return;
      case 'drain':
        await this.#service?.drain();
        return;
      case 'stop':
        await this.#service?.stop();
        for (const reader of this.#readers) await reader.close();
    }
  }

  #parts({ setup, log }: { setup: WorkerSetup; log: SharedLogState }): WorkerParts {
    return {
      setup,
      invoker: createHttpInvoker(setup.urls, { headers: serviceHeaders(setup) }),
      logAdmin: this.#admin,
      openLog: async () => {
        const reader = await openEmbeddedReader({ dir: logDirOf(setup.dataDir), shared: log });
        this.#readers.push(reader);
        return reader;
      },
    };
  }
}

/** The log's owner is in the main thread: what only it may do is asked of it. */
class RemoteLogAdmin implements LogAdmin {
  readonly #send: (message: FromWorker) => void;
  readonly #waiting = new Map<number, PromiseWithResolvers<void>>();
  #nextId = 0;

  constructor(send: (message: FromWorker) => void) {
    this.#send = send;
  }

  async deleteRecordsBefore(partition: number, offset: number): Promise<void> {
    const id = this.#nextId++;
    const answer = Promise.withResolvers<void>();
    this.#waiting.set(id, answer);
    this.#send({ kind: 'deleteRecordsBefore', id, partition, offset });
    try {
      await answer.promise;
    } finally {
      this.#waiting.delete(id);
    }
  }

  answer(message: ToWorker & { kind: 'answer' }): void {
    const waiting = this.#waiting.get(message.id);
    if (message.failure === undefined) waiting?.resolve();
    else waiting?.reject(new Error(message.failure.message));
  }
}
