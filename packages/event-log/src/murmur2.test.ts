import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { murmur2, murmur2OfText, partitionOf } from './murmur2.ts';

/** Lines of [key, hash, partition of 12] made by Kafka's own class: tests/judges/murmur2/run.sh. */
const vectors = readFileSync(new URL('./murmur2-vectors.jsonl', import.meta.url), 'utf8')
  .trimEnd()
  .split('\n')
  .map((line) => JSON.parse(line) as [key: string, hash: number, partition: number]);

test("hashes and partitions equal those of Kafka's Java client", () => {
  assert.ok(vectors.length >= 1000);
  for (const [key, hash, partition] of vectors) {
    assert.equal(murmur2(Buffer.from(key, 'utf8')), hash, JSON.stringify(key));
    assert.equal(murmur2OfText(key), hash, JSON.stringify(key));
    assert.equal(partitionOf(key, 12), partition, JSON.stringify(key));
  }
});

test('the vectors hold what is easily got wrong', () => {
  const keys = vectors.map(([key]) => key);
  assert.ok(keys.includes(''));
  assert.ok(vectors.some(([, hash]) => hash < 0));
  assert.ok(keys.some((key) => key.length > 1024));
  assert.ok(keys.some((key) => /\p{Emoji_Presentation}/u.test(key)));
  for (let rest = 0; rest < 4; rest++) {
    assert.ok(
      keys.some((key) => Buffer.byteLength(key) % 4 === rest && /[\u0400-\uffff]/.test(key)),
    );
  }
});
