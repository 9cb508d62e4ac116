import assert from 'node:assert/strict';
import { cpSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { seededRandom } from '@memplane/testkit';
import { DIMENSIONS, PARTITIONS, start, Twin } from './testing/twin.ts';

function folderOf(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'recall-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

function folderBytes(folder: string): number {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .map((name) => statSync(join(folder, name)))
    .reduce((sum, stat) => sum + (stat.isFile() ? stat.size : 0), 0);
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

test('what ended before the history goes from the index, and what is left is found as before', async (t) => {
  const random = seededRandom(11);
  const dir = folderOf(t);
  const twin = new Twin();
  someEvents(twin, random, 400, 'a');
  const env = { MEMPLANE_INDEX_ENDED_ROWS_MAX: '20', MEMPLANE_INDEX_HISTORY_CHECK_MS: '10' };
  let index = await start(twin, dir, env);
  t.after(() => index.stop().catch(() => {}));
  const starts = twin.log.map((events) => events.length);
  someEvents(twin, random, 100, 'b');
  // Turns of before the start are gone by intent, so memories alone are compared.
  const bodies = Array.from({ length: 20 }, (_, i) => ({
    topK: 10,
    filter: { n: { $gte: i % 2 } },
    ...(i % 2 === 0
      ? { vector: Array.from({ length: DIMENSIONS }, () => random() - 0.5) }
      : { text: WORDS[i % 10], entity: `user/${i % 9}` }),
  }));
  const ids = ({ results }: { results: readonly { eventId: string }[] }) =>
    results.map(({ eventId }) => eventId).sort();
  const found = await Promise.all(bodies.map((body) => index.search(body)));
  const tokens = found.map(({ token }) => token);
  someEvents(twin, random, 50, 'c');
  await index.search({ text: 'harbour' });
  const [before] = (await index.status()).generations;
  const size = folderBytes(join(dir, 'index'));
  twin.historyStarts = Object.fromEntries(starts.entries());
  const compared = async () => {
    for (const [i, body] of bodies.entries()) {
      const again = await index.search({ ...body, asOf: `token:${tokens[i]}` });
      assert.deepEqual(ids(again), ids(found[i]!), JSON.stringify(body));
    }
  };
  for (let generation = 1; generation < 2; ) {
    const { generations } = await index.status();
    generation = generations.length === 1 ? generations[0]!.generation : 1;
    // Whichever answers, it answers.
    await compared();
  }
  const [after] = (await index.status()).generations;
  assert.ok(after!.rows < before!.rows * 0.75, `${after!.rows} of ${before!.rows} rows`);
  await index.stop();
  assert.ok(folderBytes(join(dir, 'index')) < size);
  index = await start(twin, dir, env);
  await compared();
  await index.stop();
  rmSync(join(dir, 'index'), { recursive: true });
  index = await start(twin, dir, env);
  await compared();
  assert.equal((await index.status()).generations[0]!.rows, after!.rows);
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

test('a local model makes the vectors; another makes them anew, beside the searches', async (t) => {
  const dir = folderOf(t);
  const twin = new Twin();
  for (let i = 0; i < 20; i++) {
    const memory = { id: 'm', text: `${WORDS[i % 10]} ${WORDS[(i + 1) % 10]} ${i}` };
    twin.append(i % PARTITIONS, `e${i}`, `user/${i}`, { memory });
  }
  const one = join(import.meta.dirname, 'testing/onnx-model');
  const other = join(dir, 'onnx-model');
  cpSync(one, other, { recursive: true });
  writeFileSync(join(other, '1_Pooling/config.json'), '{"pooling_mode_cls_token":true}');
  let index = await start(twin, dir, { MEMPLANE_EMBEDDER_ONNX_DIR: one });
  t.after(() => index.stop().catch(() => {}));
  let beside = 0;
  const settled = async (generation: number) => {
    for (;;) {
      const { generations } = await index.status();
      const [live] = generations;
      if (live?.generation === generation && live.vectors === 20) return String(live.model);
      // Whichever index answers, it always finds the text.
      const { results } = await index.search({ text: 'violin orchard 1' });
      assert.equal(results[0]?.memory.text, 'violin orchard 1');
      if (generations.length === 2) beside++;
    }
  };
  const question = { text: 'violin orchard 1', topK: 20 };
  const vector = Array.from({ length: DIMENSIONS }, (_, d) => Math.sin(d + 1));
  const name = await settled(1);
  assert.match(name, /^onnx-model@[0-9a-f]{12}$/);
  const found = await index.search(question);
  assert.equal(found.lexicalOnly, undefined);
  assert.equal(found.results.length, 20);
  const scores = (await index.search({ vector, topK: 20 })).results;
  await index.stop();
  index = await start(twin, dir, { MEMPLANE_EMBEDDER_ONNX_DIR: other });
  assert.notEqual(await settled(2), name);
  assert.ok(beside > 0, 'searches were answered while the second index was built');
  assert.equal((await index.search(question)).results.length, 20);
  assert.notDeepEqual((await index.search({ vector, topK: 20 })).results, scores);
  // Back to the first: its vectors were kept.
  await index.stop();
  index = await start(twin, dir, { MEMPLANE_EMBEDDER_ONNX_DIR: one });
  assert.equal(await settled(3), name);
  assert.deepEqual((await index.search(question)).results, found.results);
  assert.deepEqual((await index.search({ vector, topK: 20 })).results, scores);
  await index.stop();
});
