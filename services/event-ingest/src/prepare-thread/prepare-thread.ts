import { Worker } from 'node:worker_threads';
import { MemplaneError } from '@memplane/contracts';
import { workerUrl } from '@memplane/runtime';
import { fromProblem } from '@memplane/runtime/problem';
import { unpackBody } from '../domain/packed-body.ts';
import type { BodyOrder, PreparedBody } from '../domain/prepare-body.ts';
import type { PrepareReply, PrepareRequest } from './protocol.ts';

interface Waiting {
  readonly bytes: number;
  readonly tenant: string;
  readonly resolve: (body: PreparedBody) => void;
  readonly reject: (error: MemplaneError) => void;
}

/**
 * Prepares bodies in a thread of its own, so that parsing, checking and hashing a large one holds
 * up neither the log's commits nor the other requests. The thread starts with the first body, and
 * anew after it has ended unasked.
 */
export class PrepareThread {
  readonly #queue_bytes_max: number;
  readonly #waiting = new Map<number, Waiting>();
  #worker: Worker | undefined;
  #queuedBytes = 0;
  #nextRef = 0;
  #isStopped = false;

  /** @param queue_bytes_max of the bodies that may wait for the thread at once */
  constructor(queue_bytes_max: number) {
    this.#queue_bytes_max = queue_bytes_max;
  }

  /** Bytes of the bodies that wait for the thread. */
  get queuedBytes(): number {
    return this.#queuedBytes;
  }

  /**
   * @param bytes handed over: not to be used by the caller any more
   * @throws MemplaneError what the body deserves, `overloaded`, or `dependency_unavailable` when
   * the thread ended
   */
  prepare(bytes: Buffer, order: BodyOrder): Promise<PreparedBody> {
    if (this.#isStopped) throw new MemplaneError('shutting_down', 'The service is ending.');
    const max = this.#queue_bytes_max;
    if (this.#queuedBytes > 0 && this.#queuedBytes + bytes.length > max) {
      throw new MemplaneError('overloaded', 'Too many bytes of bodies wait to be checked.', {
        retryAfterMs: 100,
        extra: { limit: 'queue_bytes_max', max },
      });
    }
    const ref = this.#nextRef++;
    const { promise, resolve, reject } = Promise.withResolvers<PreparedBody>();
    this.#waiting.set(ref, { bytes: bytes.length, tenant: order.tenant, resolve, reject });
    this.#queuedBytes += bytes.length;
    this.#worker ??= this.#start();
    const owned = ownedBytes(bytes);
    const request: PrepareRequest = { ref, bytes: owned, order };
    this.#worker.postMessage(request, [owned.buffer]);
    return promise;
  }

  /** Ends the thread in the middle of its work; the next body starts another. */
  async interrupt(): Promise<void> {
    await this.#worker?.terminate();
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.interrupt();
  }

  #start(): Worker {
    const worker = new Worker(workerUrl(import.meta.url, 'event-ingest'), { name: 'event-ingest' });
    worker.on('message', (reply: PrepareReply) => this.#settle(reply));
    worker.once('error', (cause) => this.#end(worker, cause));
    worker.once('exit', () => this.#end(worker, undefined));
    worker.unref();
    return worker;
  }

  #settle(reply: PrepareReply): void {
    const waiting = this.#waiting.get(reply.ref);
    if (!waiting) throw new Error(`an answer to ${reply.ref}, which nobody asked`);
    this.#waiting.delete(reply.ref);
    this.#queuedBytes -= waiting.bytes;
    if ('problem' in reply) waiting.reject(fromProblem(reply.problem.status, reply.problem));
    else waiting.resolve(unpackBody(reply.packed, waiting.tenant));
  }

  #end(worker: Worker, cause: unknown): void {
    if (this.#worker !== worker) return;
    this.#worker = undefined;
    const error = new MemplaneError('dependency_unavailable', 'The thread that checks ended.', {
      retryAfterMs: 1_000,
      cause,
    });
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
    this.#queuedBytes = 0;
  }
}

/** Bytes that can be handed over; a slice is copied, the rest of its buffer belongs to others. */
function ownedBytes(bytes: Buffer): Uint8Array<ArrayBuffer> {
  const { buffer } = bytes;
  const isWhole = bytes.byteLength === buffer.byteLength && buffer instanceof ArrayBuffer;
  return isWhole ? new Uint8Array(buffer) : new Uint8Array(bytes);
}
