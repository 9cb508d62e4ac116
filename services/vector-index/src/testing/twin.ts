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
  readonly #changed = new Set<() => void>();
  #clock = START_MS;

  append(partition: number, id: string, entity: string, data: EventPayload): void {
    const hlc = `${(++this.#clock).toString(16).padStart(12, '0')}-0000`;
    const event = { id, subject: entity, tenant: 'default', hlc, data } as CloudEvent;
    this.log[partition]?.push(event);
    for (const wake of this.#changed) wake();
  }

  async invoke(_service: string, _method: string, path: string, options: { body?: unknown }) {
    if (path === '/v1/cuts') {
      const { asOf } = options.body as { asOf?: string };
      const offsets = new Map(this.log.map((events, p) => [p, events.length - 1]));
      const token =
        asOf?.replace('token:', '') ?? encodeToken({ logId: LOG_ID, epoch: 0, offsets });
      return { token, timeMs: decodeToken(token).timeMs ?? Date.now() };
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
    return (async function* () {
      for (;;) {
        const { promise, resolve } = Promise.withResolvers<void>();
        changed.add(resolve);
        signal?.addEventListener('abort', () => resolve(), { once: true });
        for (const event of (log[partition] ?? []).slice(offset)) {
          const line = JSON.stringify({ partition, offset: offset++, epoch: 0, event });
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
