import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { SearchResponse } from '@memplane/contracts';
import { seededRandom } from '@memplane/testkit';
import { DIMENSIONS, PARTITIONS, start, Twin } from './testing/twin.ts';

const HEADER_BYTES = 4096;

test('vectors found damaged while the plane runs are built anew, and the answers are the same', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'recall-damage-'));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  const random = seededRandom(5);
  const twin = new Twin();
  const vector = () => Array.from({ length: DIMENSIONS }, () => random() - 0.5);
  for (let i = 0; i < 60; i++) {
    const embedding = { model: 'm', values: vector() };
    const memory = { id: `m${i % 40}`, text: `lantern ${i}`, embedding };
    twin.append(i % PARTITIONS, `e${i}`, `user/${i % PARTITIONS}`, { memory });
  }
  const question = { vector: vector(), topK: 20 };
  let index = await start(twin, dir);
  t.after(() => index.stop().catch(() => {}));
  const expected = (await index.search(question)).results;
  assert.equal(expected.length, 20);
  const place = join(dir, 'index/generation-1/tenants/default');

  await index.stop();
  const vectors = join(place, 'vectors.bin');
  const bytes = readFileSync(vectors);
  for (let at = HEADER_BYTES; at < bytes.length; at += 8) bytes[at] = (bytes[at] ?? 0) ^ 1;
  writeFileSync(vectors, bytes);
  index = await start(twin, dir);
  const body = JSON.stringify({ ...question, waitMs: 20_000 });
  const headers = { 'content-type': 'application/json' };
  const first = await fetch(`${index.url}/v1/search`, { method: 'POST', headers, body });
  assert.equal(first.status, 503);
  assert.equal(((await first.json()) as { code: string }).code, 'storage_damaged');
  let found: Response;
  do found = await fetch(`${index.url}/v1/search`, { method: 'POST', headers, body });
  while (found.status === 503);
  assert.equal(found.status, 200);
  // `after` of the whole log waits for all of the new index.
  assert.deepEqual((await index.search(question)).results, expected);

  await index.stop();
  truncateSync(join(place, 'rows.bin'), HEADER_BYTES + 100);
  index = await start(twin, dir);
  const { results }: SearchResponse = await index.search(question);
  assert.deepEqual(results, expected);
  await index.stop();
});
