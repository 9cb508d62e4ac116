import { MemplaneError } from '@memplane/contracts';
import { type Logger, pause } from '@memplane/runtime';
import type { ComputedVectors, Embedder } from './domain/ports.ts';
import { normalized } from './domain/quantize.ts';
import type { Generation } from './drivers/generation.ts';

export interface EmbeddingWorkerOptions {
  readonly generation: Generation;
  readonly embedder: Embedder;
  readonly computed: ComputedVectors;
  readonly logger: Logger;
  readonly embed_batch_texts_max: number;
  readonly embedRetryMsMax: number;
  readonly onComputed: () => void;
}

/** Gives vectors to the memories that wait for one, a bounded batch at a time. */
export class EmbeddingWorker {
  readonly #options: EmbeddingWorkerOptions;
  readonly #stopping = new AbortController();
  #loop: Promise<void> = Promise.resolve();
  #problem: string | undefined;
  #lastTenant = '';
  #wake: () => void = () => {};

  constructor(options: EmbeddingWorkerOptions) {
    this.#options = options;
  }

  /** Why texts wait longer than they should. */
  get problem(): string | undefined {
    return this.#problem;
  }

  start(): void {
    this.#loop = this.#run();
  }

  /** Says that there may be work. */
  wake(): void {
    this.#wake();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#wake();
    await this.#loop;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping;
    let failures = 0;
    while (!signal.aborted) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#wake = resolve;
      try {
        if (!(await this.#batch(signal))) await promise;
        failures = 0;
        this.#problem = undefined;
      } catch (error) {
        if (signal.aborted) return;
        this.#problem = error instanceof Error ? error.message : String(error);
        this.#options.logger.warn({ err: error }, 'computing vectors has failed');
        const pauseMs = Math.min(
          this.#options.embedRetryMsMax,
          100 * 2 ** Math.min(failures++, 16),
        );
        await pause(pauseMs, signal);
      }
    }
  }

  /** One tenant after the other, so that none waits for all that another one has. */
  #nextRows(): { readonly tenant: string; readonly rows: { row: number; text: string }[] } {
    const { generation, embed_batch_texts_max } = this.#options;
    const tenants = generation.tenants();
    const after = tenants.filter((tenant) => tenant > this.#lastTenant);
    const before = tenants.filter((tenant) => tenant <= this.#lastTenant);
    for (const tenant of [...after, ...before]) {
      const rows = generation.pendingRows(tenant, embed_batch_texts_max);
      if (rows.length > 0) return { tenant, rows };
    }
    return { tenant: '', rows: [] };
  }

  /** One batch; false when nothing waits. */
  async #batch(signal: AbortSignal): Promise<boolean> {
    const { generation, embedder, computed, onComputed } = this.#options;
    const { tenant, rows } = this.#nextRows();
    if (rows.length === 0) return false;
    this.#lastTenant = tenant;
    const texts = new Set<string>();
    for (const { text } of rows) if (!computed.get(embedder.model, text)) texts.add(text);
    if (texts.size > 0) {
      const asked = [...texts];
      const vectors = await embedder.embed(asked, signal);
      const wanted = new Set(this.#stillPending(tenant, rows).map(({ text }) => text));
      const made = asked.map((text, i) => [text, this.#checked(vectors[i])] as const);
      computed.put(
        embedder.model,
        made.filter(([text]) => wanted.has(text)),
      );
    }
    generation.applyComputed(
      tenant,
      this.#stillPending(tenant, rows).flatMap(({ row, text }) => {
        const vector = computed.get(embedder.model, text);
        return vector ? [{ row, vector }] : [];
      }),
    );
    onComputed();
    return true;
  }

  /** Of the oldest rows, those that were not erased while their vectors were computed. */
  #stillPending<Row extends { readonly row: number }>(tenant: string, rows: readonly Row[]): Row[] {
    const { generation, embed_batch_texts_max } = this.#options;
    const pending = generation.pendingRows(tenant, embed_batch_texts_max);
    const numbers = new Set(pending.map(({ row }) => row));
    return rows.filter(({ row }) => numbers.has(row));
  }

  #checked(vector: Float32Array | undefined): Float32Array {
    const { dimensions } = this.#options.generation;
    const unit = vector?.length === dimensions ? normalized(vector) : undefined;
    if (unit) return unit;
    const detail = `The embedder gave ${vector?.length ?? 0} dimensions instead of ${dimensions}.`;
    throw new MemplaneError('wrong_dimensions', detail);
  }
}
