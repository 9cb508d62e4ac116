import assert from 'node:assert/strict';
import { test } from 'node:test';
import { testSeed } from '@memplane/testkit';
import { Database } from './database.ts';
import { EntityRows } from './entity-rows.ts';

const ROWS = 100_000;
const ENTITIES = 500;

test('an entity has its rows while they are gathered, written, and told again', () => {
  const random = testSeed('rows of entities');
  const db = new Database(':memory:', { cache_bytes_max: 1 << 20 });
  let rows = new EntityRows(db, 'default');
  const model = new Map<number, number[]>();
  const entityOf: number[] = [];
  for (let row = 0; row < ROWS; row++) {
    const ref = random.int(0, ENTITIES - 1);
    entityOf.push(ref);
    model.set(ref, [...(model.get(ref) ?? []), row]);
    db.transaction(() => rows.add(ref, row));
    // The upkeep comes now and then, and at times not for long.
    if (random.chance(row < ROWS / 2 ? 0.01 : 0)) rows.step();
    if (row % 5_000 !== 4_999) continue;
    if (random.chance(0.3)) {
      // Begun anew, in the midst of a writing too.
      rows = new EntityRows(db, 'default');
      for (let known = rows.storedEnd; known <= row; known++) {
        db.transaction(() => rows.add(entityOf[known] ?? 0, known));
      }
    }
    for (let i = 0; i < 20; i++) {
      const asked = random.int(0, ENTITIES - 1);
      assert.deepEqual([...rows.of(asked)], model.get(asked) ?? []);
    }
  }
  while (rows.step());
  assert.ok(rows.storedEnd > ROWS - 70_000, `${rows.storedEnd} are stored`);
  assert.deepEqual([...rows.of(7)], model.get(7));
  db.close();
});
