import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { EntityView, SearchHit } from './as-views.ts';
import { checkHits, checkVectors } from './check-index.ts';
import type { LoggedMemory } from './feed.ts';
import { Fold } from './fold.ts';
import { clusteredVectors, nextAsBase64 } from './vectors.ts';

const ENTITY = 'user/1';
const OTHER = 'user/2';

interface Row {
  readonly id: string;
  readonly entity: string;
  readonly text?: string;
  readonly vector?: string;
}

const source = clusteredVectors({ seed: 7, dimensions: 32 });
const [oldOfA, newOfA, ofB] = [1, 2, 3].map(() => nextAsBase64(source)) as [string, string, string];

const memory = (id: string, text: string, vector: string): LoggedMemory => ({
  ...{ id, text },
  embedding: { model: 'test', values: vector },
});
const STORY = [memory('a', 'old', oldOfA), memory('b', 'other', ofB), memory('a', 'new', newOfA)];

const fold = new Fold();
for (const [offset, one] of STORY.entries()) {
  const event = { id: `e${offset}`, type: 'T', subject: ENTITY, hlc: '', digest: `d${offset}` };
  fold.apply({ partition: 0, offset, epoch: 0, event: { ...event, data: { memory: one } } });
}
const folded = fold.entities.get(ENTITY)!;
const view: EntityView = {
  entity: ENTITY,
  attributes: {},
  memories: [...folded.memories.values()].map(({ id, text }) => ({ id, text: text ?? '' })),
  sequence: 3,
  asOf: { epoch: 0, partition: 0, offset: 2, hlc: '' },
};

const A: Row = { id: 'a', entity: ENTITY, text: 'new', vector: newOfA };
const B: Row = { id: 'b', entity: ENTITY, text: 'other', vector: ofB };

function hitOf({ id, entity, text }: Row, score: number): SearchHit {
  return { memoryId: id, entity, score, eventId: '', offset: 0, memory: { text } };
}

/** What the check of the rounds says of an index that holds these rows, and searches them plainly. */
async function says(...rows: readonly Row[]): Promise<string> {
  const hits = rows.map((row) => hitOf(row, 1));
  const { wrong, compared } = await checkVectors(folded, async (vector) => {
    const scored = rows.map((row) => hitOf(row, row.vector ? cosine(row.vector, `${vector}`) : -1));
    return scored.sort((a, b) => b.score - a.score)[0];
  });
  assert.equal(compared, 2);
  return [...checkHits(view, hits), ...wrong].join('\n');
}

function cosine(a: string, b: string): number {
  const [left, right] = [a, b].map((text) => {
    const bytes = Buffer.from(text, 'base64');
    return Array.from({ length: bytes.length / 4 }, (_, i) => bytes.readFloatLE(i * 4));
  }) as [number[], number[]];
  // Both have length 1.
  return left.reduce((sum, value, i) => sum + value * (right[i] ?? 0), 0);
}

test('an index that equals the views has no fault', async () => {
  assert.equal(await says(A, B), '');
  assert.equal(await says(B, A), '');
});

test('the index checker notices a vector that is old, of another memory, or not there', async () => {
  assert.match(await says({ ...A, vector: oldOfA }, B), /^user\/1#a: by its vector found [ab] 0\./);
  assert.match(await says({ ...A, vector: ofB }, B), /user\/1#a: by its vector found/);
  const swapped = await says({ ...A, vector: ofB }, { ...B, vector: newOfA });
  assert.match(swapped, /user\/1#a: by its vector found b [\s\S]*user\/1#b: by its vector found a/);
  const { vector: _, ...bare } = A;
  assert.match(await says(bare, B), /user\/1#a: by its vector found b/);
});

test('the index checker notices a memory that is missing, old, forgotten or of others', async () => {
  assert.match(await says(A), /user\/1#b: index has undefined, view other[\s\S]*user\/1: 1 hits/);
  assert.match(await says(A), /user\/1#b: by its vector found a/);
  assert.match(await says({ ...A, text: 'old' }, B), /user\/1#a: index has old, view new/);
  assert.match(await says(A, B, { ...B, id: 'forgotten' }), /user\/1: 3 hits/);
  assert.match(await says(A, { ...B, entity: OTHER }), /user\/1: found b of user\/2/);
  assert.match(await says(), /by its vector found undefined/);
});
