import { Worker } from 'node:worker_threads';
import { MemplaneError } from '@memplane/contracts';
import { workerUrl } from '@memplane/runtime';
import type { Embedder } from '../../domain/ports.ts';
import type { EmbedReply, EmbedRequest, OnnxSetup } from './protocol.ts';

export interface OnnxEmbedderOptions extends OnnxSetup {
  readonly model: string;
  /** The longest that one batch may take, the loading of the model included. */
  readonly timeoutMs: number;
}

type Waiting = PromiseWithResolvers<Float32Array[]>;

/**
 * A sentence model in ONNX from a local folder, in a thread of its own, so that searches go on
 * meanwhile. The thread starts with the first text, and anew after it has ended unasked.
 */
export class OnnxEmbedder implements Embedder {
  readonly model: string;
  readonly #options: OnnxEmbedderOptions;
  readonly #waiting = new Map<number, Waiting>();
  #worker: Worker | undefined;
  #nextRef = 0;

  constructor(options: OnnxEmbedderOptions) {
    this.model = options.model;
    this.#options = options;
  }

  async embed(texts: readonly string[], signal: AbortSignal): Promise<Float32Array[]> {
    signal.throwIfAborted();
    const ref = this.#nextRef++;
    const waiting = Promise.withResolvers<Float32Array[]>();
    this.#waiting.set(ref, waiting);
    const limit = AbortSignal.any([signal, AbortSignal.timeout(this.#options.timeoutMs)]);
    const giveUp = () => waiting.reject(limit.reason);
    limit.addEventListener('abort', giveUp, { once: true });
    this.#worker ??= this.#start();
    const request: EmbedRequest = { ref, texts };
    this.#worker.postMessage(request);
    try {
      return await waiting.promise;
    } catch (cause) {
      signal.throwIfAborted();
      const why = cause instanceof Error ? cause.message : String(cause);
      throw new MemplaneError('dependency_unavailable', `The local model fails: ${why}`, {
        cause,
        retryAfterMs: 1_000,
      });
    } finally {
      limit.removeEventListener('abort', giveUp);
      this.#waiting.delete(ref);
    }
  }

  async close(): Promise<void> {
    await this.#worker?.terminate();
  }

  #start(): Worker {
    const { folder, tokens_max } = this.#options;
    const workerData: OnnxSetup = { folder, tokens_max };
    const worker = new Worker(workerUrl(import.meta.url, 'onnx'), { name: 'onnx', workerData });
    worker.on('message', (reply: EmbedReply) => {
      const waiting = this.#waiting.get(reply.ref);
      if ('error' in reply) waiting?.reject(new Error(reply.error));
      else waiting?.resolve([...reply.vectors]);
    });
    const end = (cause: Error) => {
      if (this.#worker === worker) this.#worker = undefined;
      for (const { reject } of this.#waiting.values()) reject(cause);
    };
    worker.once('error', end);
    worker.once('exit', (code) => end(new Error(`its thread ended with code ${code}`)));
    worker.unref();
    return worker;
  }
}
