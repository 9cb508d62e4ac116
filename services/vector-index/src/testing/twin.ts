import assert from 'node:assert/strict';
import { join } from 'node:path';
import {
  type CloudEvent,
  decodeToken,
  type EventPayload,
  encodeToken,
  type IndexStatus,
  type LivenessRequest,
  type SearchResponse,
} from '@memplane/contracts';
import type { Invoker } from '@memplane/runtime';
import pino from 'pino';
import { readVectorIndexConfig } from '../config.ts';
import { createVectorIndex } from '../service.ts';

const LOG_ID = '0c7a4d0e-6f2b-4c59-9d3e-5a1b2c3d4e5f';
export const PARTITIONS = 3;
const START_MS = 1_790_000_000_000;
export const DIMENSIONS = 16;

/** A log and its views in memory: each answer is worked out from the whole log, naively. */
export class Twin implements Invoker {
  readonly log: CloudEvent[][] = Array.from({ length: PARTITIONS }, () => []);
  /** By partition. Events of before it are given only where a memory of theirs may still be shown. */
  historyStarts: Record<string, number> = {};
  readonly #changed = new Set<() => void>();
  #clock = START_MS;

  append(partition: number, id: string, entity: string, data: EventPayload): void {
    const hlc = `${(++this.#clock).toString(16).padStart(12, '0')}-0000`;
    const event = { id, subject: entity, tenant: 'default', hlc, data } as CloudEvent;
    this.log[partition]?.push(event);
    for (const wake of this.#changed) wake();
  }

  async invoke(_service: string, _method: string, path: string, options: { body?: unknown }) {
    if (path === '/v1/log') return { logId: LOG_ID, epoch: 0, partitions: PARTITIONS };
    if (path === '/v1/cuts') {
      const { asOf } = options.body as { asOf?: string };
      const offsets = new Map(this.log.map((events, p) => [p, events.length - 1]));
      const token =
        asOf?.replace('token:', '') ?? encodeToken({ logId: LOG_ID, epoch: 0, offsets });
      const timeMs = decodeToken(token).timeMs ?? Date.now();
      return { token, timeMs, historyStarts: this.historyStarts };
    }
    const { cut, items, atMs } = options.body as LivenessRequest;
    const { offsets } = decodeToken(cut);
    return { items: items.map((item) => ({ live: this.#live(item, offsets, atMs ?? 0) })) };
  }

  #live(
    item: LivenessRequest['items'][number],
    offsets: ReadonlyMap<number, number>,
    atMs: number,
  ): boolean {
    for (const [p, events] of this.log.entries()) {
      const seen = new Set<string>();
      let live: CloudEvent | undefined;
      for (const [offset, event] of events.entries()) {
        if (offset > (offsets.get(p) ?? -1)) break;
        if (event.subject !== item.entity || seen.has(event.id)) continue;
        seen.add(event.id);
        const { memory } = event.data;
        if (item.turn ? event.id === item.eventId : memory?.id === item.memoryId) live = event;
      }
      if (!live || live.id !== item.eventId) continue;
      const { memory } = live.data;
      if (memory === undefined) return item.turn;
      if ('forgotten' in memory) return false;
      return atMs <= Number.parseInt(live.hlc.slice(0, 12), 16) + (memory.ttl ?? Infinity);
    }
    return false;
  }

  /** Whether an earlier event of the entity has the id. */
  #isCopy(partition: number, at: number): boolean {
    const events = this.log[partition] ?? [];
    const own = events[at];
    return events.slice(0, at).some(({ id, subject }) => id === own?.id && subject === own.subject);
  }

  /** Whether a memory that an event brought is not ended before the history begins. */
  #isShownLater(partition: number, at: number): boolean {
    const events = this.log[partition] ?? [];
    const memory = events[at]?.data.memory;
    if (memory === undefined || 'forgotten' in memory || this.#isCopy(partition, at)) return false;
    const start = this.historyStarts[partition] ?? 0;
    return !events.slice(at + 1, start).some((event, i) => {
      const same = event.subject === events[at]?.subject && event.data.memory?.id === memory.id;
      return same && !this.#isCopy(partition, at + 1 + i);
    });
  }

  async stream(
    _service: string,
    _path: string,
    options: { query?: Readonly<Record<string, unknown>>; signal?: AbortSignal },
  ): Promise<AsyncIterable<Uint8Array>> {
    const partition = Number(options.query?.['partition']);
    let offset = Number(options.query?.['from']);
    const { log } = this;
    const changed = this.#changed;
    const { signal } = options;
    const start = () => this.historyStarts[partition] ?? 0;
    const kept = (p: number, at: number) => this.#isShownLater(p, at);
    const mark = (p: number, at: number) => (this.#isCopy(p, at) ? { applied: false } : {});
    return (async function* () {
      for (;;) {
        const { promise, resolve } = Promise.withResolvers<void>();
        changed.add(resolve);
        signal?.addEventListener('abort', () => resolve(), { once: true });
        for (; offset < (log[partition]?.length ?? 0); offset++) {
          const event = log[partition]?.[offset];
          if (offset < start() && !kept(partition, offset)) continue;
          const line = JSON.stringify({
            partition,
            offset,
            epoch: 0,
            ...mark(partition, offset),
            event,
          });
          yield Buffer.from(`${line}\n`);
        }
        if (signal?.aborted) return;
        await promise;
        changed.delete(resolve);
      }
    })();
  }
}

export interface Running {
  readonly url: string;
  search(body: object): Promise<SearchResponse>;
  status(): Promise<IndexStatus>;
  stop(): Promise<void>;
}

/** Starts a service over the twin, on a free port, with the folders below `dir`. */
export async function start(
  twin: Twin,
  dir: string,
  env: Record<string, string> = {},
): Promise<Running> {
  const config = readVectorIndexConfig({
    MEMPLANE_VECTOR_INDEX_PORT: '0',
    MEMPLANE_VECTOR_INDEX_DIR: join(dir, 'index'),
    MEMPLANE_COMPUTED_VECTORS_DIR: join(dir, 'computed'),
    MEMPLANE_EMBEDDING_DIMENSIONS: String(DIMENSIONS),
    MEMPLANE_EMBED_ATTEMPTS_MAX: '1',
    MEMPLANE_EMBED_RETRY_MS_MAX: '10',
    ...env,
  });
  const service = await createVectorIndex(config, {
    invoker: twin as unknown as Invoker,
    logger: pino({ level: 'silent' }),
  });
  await service.start();
  const base = `http://127.0.0.1:${service.port}`;
  const end = encodeToken({
    logId: LOG_ID,
    epoch: 0,
    offsets: new Map(twin.log.map((events, p) => [p, events.length - 1])),
  });
  while (!(await fetch(`${base}/readyz`)).ok);
  return {
    url: base,
    async search(body) {
      const response = await fetch(`${base}/v1/search`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ after: end, waitMs: 20_000, ...body }),
      });
      const answer = await response.json();
      assert.equal(response.status, 200, JSON.stringify(answer));
      return answer as SearchResponse;
    },
    status: async () => (await (await fetch(`${base}/v1/index`)).json()) as IndexStatus,
    async stop() {
      await service.drain();
      await service.stop();
    },
  };
}
