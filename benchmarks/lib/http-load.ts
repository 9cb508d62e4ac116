import { connect, type Socket } from 'node:net';
import { setTimeout } from 'node:timers/promises';
import { parentPort, workerData } from 'node:worker_threads';
import { clusteredVectors } from '@memplane/testkit';
import { EventBatch, MixedBatch } from './event-bodies.ts';

/** What a load worker is told to do; it answers each with a {@link LoadResult}. */
export interface LoadOrder {
  readonly port: number;
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly connections: number;
  readonly durationMs: number;
  /** Ids are counted from here. */
  readonly firstId: number;
  /** As fast as it goes, when absent. */
  readonly events_per_second?: number;
}

export interface LoadResult {
  readonly events: number;
  readonly requests: number;
  readonly elapsedMs: number;
  readonly errors: number;
  readonly nextId: number;
}

export interface LoadData {
  readonly events_per_request: number;
  readonly entities: number;
  /** One in ten is a memory with a vector. */
  readonly mixed?: boolean;
  /** Of the entities; `user` when absent. */
  readonly kind?: string;
  /** Each connection appends to one entity by itself: the first to the first, and so on, in turn. */
  readonly ownEntity?: boolean;
  /** Characters of text that each event has beyond its 400 bytes. */
  readonly text_chars?: number;
}

const { events_per_request, entities, mixed, kind, ownEntity, text_chars } = workerData as LoadData;
const HEAD_BYTES_MAX = 256;
/** Bodies of a connection that are sent in turn, each with vectors of its own. */
const MIXED_BODIES = 32;

/** By the writer's number: making them takes longer than sending them. */
const made: (readonly (EventBatch | MixedBatch)[])[] = [];

function batchesOf(seed: number): readonly (EventBatch | MixedBatch)[] {
  const known = made[seed];
  if (known) return known;
  const batches = mixed
    ? mixedBatches(seed)
    : [
        new EventBatch(events_per_request, entities, seed, {
          single: events_per_request === 1,
          ...(kind === undefined ? {} : { kind }),
          ...(text_chars === undefined ? {} : { textChars: text_chars }),
        }),
      ];
  made[seed] = batches;
  return batches;
}

function mixedBatches(seed: number): MixedBatch[] {
  const vectors = clusteredVectors({ seed });
  return Array.from(
    { length: MIXED_BODIES },
    (_, i) => new MixedBatch(events_per_request, entities, seed + i, vectors),
  );
}

/** One connection: writes a request, reads its whole answer, writes the next. */
class Writer {
  readonly #socket: Socket;
  readonly #batches: readonly (EventBatch | MixedBatch)[];
  #sent = 0;
  readonly #entity: number | undefined;
  readonly #head: Buffer;
  #left = 0;
  #resolve: ((status: number) => void) | undefined;
  #status = 0;

  constructor(order: LoadOrder, seed: number) {
    this.#batches = batchesOf(seed);
    this.#entity = ownEntity ? seed % entities : undefined;
    const more = Object.entries(order.headers ?? {}).map(
      ([name, value]) => `${name}: ${value}\r\n`,
    );
    this.#head = Buffer.from(
      `POST ${order.path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n${more.join('')}` +
        'content-length: ',
    );
    if (this.#head.length > HEAD_BYTES_MAX) throw new Error('the head is too long');
    this.#socket = connect({ port: order.port, host: '127.0.0.1', noDelay: true });
    this.#socket.on('data', (chunk) => this.#take(chunk));
    this.#socket.on('close', () => this.#resolve?.(0));
  }

  send(firstId: number): Promise<number> {
    const batch = this.#batches[this.#sent++ % this.#batches.length] as EventBatch;
    batch.renumber(firstId, this.#entity);
    return new Promise((resolve) => {
      this.#resolve = resolve;
      this.#socket.cork();
      this.#socket.write(this.#head);
      this.#socket.write(`${batch.bytes.length}\r\n\r\n`);
      this.#socket.write(batch.bytes);
      this.#socket.uncork();
    });
  }

  end(): void {
    this.#socket.destroy();
  }

  /** Answers come with a length and their head in one piece. */
  #take(chunk: Buffer): void {
    let bytes = chunk.length;
    if (this.#left === 0) {
      const end = chunk.indexOf('\r\n\r\n');
      const head = chunk.toString('latin1', 0, end);
      this.#status = Number(head.slice(9, 12));
      this.#left = Number(/content-length: (\d+)/i.exec(head)?.[1]);
      bytes -= end + 4;
    }
    this.#left -= bytes;
    if (this.#left === 0) this.#resolve?.(this.#status);
  }
}

async function run(order: LoadOrder): Promise<LoadResult> {
  const writers = Array.from({ length: order.connections }, (_, i) => new Writer(order, i));
  let nextId = order.firstId;
  let requests = 0;
  let errors = 0;
  const started = performance.now();
  const end = started + order.durationMs;
  const intervalMs = (events_per_request / (order.events_per_second ?? Infinity)) * 1000;
  let slot = 0;
  await Promise.all(
    writers.map(async (writer) => {
      while (performance.now() < end) {
        // Slots that were missed are made up for: the rate holds over the whole run.
        const waitMs = started + slot++ * intervalMs - performance.now();
        if (waitMs > 0) await setTimeout(waitMs);
        const first = nextId;
        nextId += events_per_request;
        const status = await writer.send(first);
        if (status === 201) requests++;
        else errors++;
        if (status === 0) break;
      }
    }),
  );
  const elapsedMs = performance.now() - started;
  for (const writer of writers) writer.end();
  return { events: requests * events_per_request, requests, elapsedMs, errors, nextId };
}

parentPort?.on('message', (order: LoadOrder) => {
  run(order).then((result) => parentPort?.postMessage(result));
});
