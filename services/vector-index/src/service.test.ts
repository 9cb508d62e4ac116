import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
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
import { seededRandom } from '@memplane/testkit';
import pino from 'pino';
import { readVectorIndexConfig } from './config.ts';
import { createVectorIndex } from './service.ts';

const LOG_ID = '0c7a4d0e-6f2b-4c59-9d3e-5a1b2c3d4e5f';
const PARTITIONS = 3;
const START_MS = 1_790_000_000_000;
const DIMENSIONS = 16;

/** A log and its views in memory: each answer is worked out from the whole log, naively. */
class Twin implements Invoker {
  readonly log: CloudEvent[][] = Array.from({ length: PARTITIONS }, () => []);
  readonly #changed = new Set<() => void>();
  #clock = START_MS;

  append(partition: number, id: string, entity: string, data: EventPayload): void {
    const hlc = `${(++this.#clock).toString(16).padStart(12, '0')}-0000`;
    const event = { id, subject: entity, tenant: 'default', hlc, data } as CloudEvent;
    this.log[partition]!.push(event);
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
        for (const event of log[partition]!.slice(offset)) {
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

interface Running {
  search(body: object): Promise<SearchResponse>;
  status(): Promise<IndexStatus>;
  stop(): Promise<void>;
}

async function start(twin: Twin, dir: string, env: Record<string, string> = {}): Promise<Running> {
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

function folderOf(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'recall-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

const WORDS = 'harbour violin orchard lantern glacier pepper saddle ribbon compass walnut'.split(
  ' ',
);

function someEvents(twin: Twin, random: () => number, count: number, name: string): void {
  const pick = (n: number) => Math.floor(random() * n);
  const ids: string[] = [];
  for (let i = 0; i < count; i++) {
    const e = pick(9);
    const p = e % PARTITIONS;
    // now and then an id comes twice
    const again = ids.length > 0 && random() < 0.1;
    const id = again ? ids[pick(ids.length)]! : `${name}-${i}`;
    ids.push(id);
    const text = Array.from({ length: 5 }, () => WORDS[pick(WORDS.length)]).join(' ');
    const values = Array.from({ length: DIMENSIONS }, () => random() - 0.5);
    const memory = { id: `m${pick(6)}`, text, metadata: { n: pick(3) } };
    const kind = random();
    if (kind < 0.2) twin.append(p, id, `user/${e}`, { data: { text } });
    else if (kind < 0.35) {
      twin.append(p, id, `user/${e}`, { memory: { id: memory.id, forgotten: true } });
    } else {
      const ttl = random() < 0.1 ? { ttl: 5 } : {};
      const embedding = { model: 'm', values };
      twin.append(p, id, `user/${e}`, { memory: { ...memory, ...ttl, embedding } });
    }
  }
}

test('a search repeated as of its token finds the same, after changes and a rebuild', async (t) => {
  const random = seededRandom(7);
  const dir = folderOf(t);
  const twin = new Twin();
  someEvents(twin, random, 300, 'a');
  let index = await start(twin, dir);
  t.after(() => index.stop().catch(() => {}));
  const bodies = Array.from({ length: 24 }, (_, i) => ({
    topK: 5,
    ...(i % 3 !== 0 ? { text: `${WORDS[i % 10]} ${WORDS[(i * 7) % 10]}` } : {}),
    ...(i % 3 !== 1 ? { vector: Array.from({ length: DIMENSIONS }, () => random() - 0.5) } : {}),
    ...(i % 4 === 0 ? { filter: { n: { $gte: 1 } } } : {}),
    ...(i % 5 === 0 ? { entity: `user/${i % 9}` } : {}),
  }));
  const found = await Promise.all(bodies.map((body) => index.search(body)));
  assert.ok(found.filter(({ results }) => results.length > 0).length > 20);
  someEvents(twin, random, 300, 'b');
  const same = async (name: string) => {
    for (const [i, body] of bodies.entries()) {
      const again = await index.search({ ...body, asOf: `token:${found[i]!.token}` });
      assert.deepEqual(again.results, found[i]!.results, `${name}: ${JSON.stringify(body)}`);
      assert.equal(again.token, found[i]!.token);
    }
  };
  await same('after changes');
  await index.stop();
  index = await start(twin, dir);
  await same('after a restart');
  await index.search({ text: 'harbour' });
  const before = (await index.status()).generations[0]!.partitions;
  await index.stop();
  rmSync(join(dir, 'index'), { recursive: true });
  index = await start(twin, dir);
  await same('after a rebuild');
  assert.deepEqual((await index.status()).generations[0]!.partitions, before);
  await index.stop();
});

test('texts get vectors from the embedder, once, and a change of the model re-embeds', async (t) => {
  const dir = folderOf(t);
  let asked: string[] = [];
  let answers = false;
  const endpoint = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk) => {
      body += chunk;
    });
    request.on('end', () => {
      if (!answers) return void response.writeHead(500).end();
      const { input, model } = JSON.parse(body) as { input: string[]; model: string };
      asked.push(...input.map((text) => `${model} ${text}`));
      const data = input.map((text, i) => ({ index: i, embedding: vectorOf(text) }));
      response.end(JSON.stringify({ data: data.reverse() }));
    });
  });
  const vectorOf = (text: string) =>
    Array.from({ length: DIMENSIONS }, (_, d) => (text.charCodeAt(d % text.length) % 7) + d * 0.01);
  await new Promise<void>((resolve) => endpoint.listen(0, '127.0.0.1', resolve));
  t.after(() => endpoint.close());
  const url = `http://127.0.0.1:${(endpoint.address() as AddressInfo).port}/v1`;
  const twin = new Twin();
  for (let i = 0; i < 20; i++) {
    const memory = { id: 'm', text: `${WORDS[i % 10]} ${i}` };
    twin.append(i % PARTITIONS, `e${i}`, `user/${i}`, { memory });
  }
  const env = { MEMPLANE_EMBEDDER_URL: url, MEMPLANE_EMBEDDER_MODEL: 'one' };
  let index = await start(twin, dir, env);
  t.after(() => index.stop().catch(() => {}));
  const early = await index.search({ text: 'violin' });
  assert.equal(early.vectorsPending, 20);
  assert.equal(early.lexicalOnly, true);
  assert.equal(early.results[0]!.memory.text, 'violin 1');
  answers = true;
  const settled = async (generations: number, model: string) => {
    for (;;) {
      const status = await index.status();
      const [live] = status.generations;
      const done = status.generations.length === generations && live?.vectors === 20;
      if (done && live.model === model && live.vectorsPending === 0) return;
    }
  };
  await settled(1, 'one');
  const fused = await index.search({ text: 'violin 1' });
  assert.equal(fused.lexicalOnly, undefined);
  assert.equal(fused.results.length, 10);
  assert.equal(asked.filter((text) => text !== 'one violin 1').length, 19);
  await index.stop();
  // A rebuild costs no model.
  rmSync(join(dir, 'index'), { recursive: true });
  asked = [];
  index = await start(twin, dir, env);
  await settled(1, 'one');
  assert.equal(asked.length, 0);
  assert.deepEqual((await index.search({ text: 'violin 1' })).results, fused.results);
  await index.stop();
  asked = [];
  index = await start(twin, dir, { ...env, MEMPLANE_EMBEDDER_MODEL: 'two' });
  await settled(1, 'two');
  assert.equal((await index.status()).generations[0]!.generation, 2);
  assert.ok(asked.every((text) => text.startsWith('two ')));
  assert.equal((await index.search({ text: 'violin 1' })).results.length, 10);
  await index.stop();
});

test('a local model makes the vectors; under another name they are made anew, beside the searches', async (t) => {
  const dir = folderOf(t);
  const twin = new Twin();
  for (let i = 0; i < 20; i++) {
    const memory = { id: 'm', text: `${WORDS[i % 10]} ${WORDS[(i + 1) % 10]} ${i}` };
    twin.append(i % PARTITIONS, `e${i}`, `user/${i}`, { memory });
  }
  const env = { MEMPLANE_EMBEDDER_ONNX_DIR: join(import.meta.dirname, 'testing/onnx-model') };
  let index = await start(twin, dir, env);
  t.after(() => index.stop().catch(() => {}));
  const settled = async (generation: number) => {
    for (;;) {
      const [live] = (await index.status()).generations;
      if (live?.generation === generation && live.vectors === 20) return live.model;
      // Whichever index answers, it always finds the text.
      const { results } = await index.search({ text: 'violin orchard 1' });
      assert.equal(results[0]?.memory.text, 'violin orchard 1');
    }
  };
  assert.match(String(await settled(1)), /^onnx-model@[0-9a-f]{12}$/);
  const found = await index.search({ text: 'violin orchard 1', topK: 20 });
  assert.equal(found.lexicalOnly, undefined);
  assert.equal(found.results.length, 20);
  await index.stop();
  index = await start(twin, dir, { ...env, MEMPLANE_EMBEDDER_MODEL: 'renamed' });
  assert.equal(await settled(2), 'renamed');
  assert.deepEqual(
    (await index.search({ text: 'violin orchard 1', topK: 20 })).results,
    found.results,
  );
  await index.stop();
});
