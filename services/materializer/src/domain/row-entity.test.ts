import assert from 'node:assert/strict';
import { test } from 'node:test';
import { partitionKey } from '@memplane/contracts';
import { partitionOf } from '@memplane/event-log';
import fc from 'fast-check';
import { entryOf, OVERFLOW_ENTRY } from './index-entries.ts';
import { ShardKeys, toKey } from './keys.ts';
import { entityOfRow, RowPartitioner } from './row-entity.ts';

const seed = Number(process.env['MEMPLANE_TEST_SEED'] ?? Date.now() & 0x7fffffff);
console.log(`row entity seed ${seed}`);

const PARTITIONS = 24;
const name = fc.stringMatching(/^[A-Za-z0-9._~@-]{1,20}$/);
const entity = fc.tuple(name, name).map(([kind, id]) => `${kind}/${id}`);
const anyText = fc.string({ unit: 'binary', maxLength: 6 });
const offset = fc.nat(2 ** 40);
const entry = fc.oneof(
  fc.constant(OVERFLOW_ENTRY),
  fc
    .tuple(fc.constantFrom('p', 'q.r', 'é'), fc.oneof(fc.double(), fc.boolean(), anyText))
    .map(([path, value]) => entryOf(path, value)),
);

/** A row of each table, of one entity. */
const rows = fc
  .record({ entity, other: entity, id: anyText, from: offset, entry })
  .map((of) => ({ of, keysIn: (keys: ShardKeys) => keysOf(keys, of) }));

interface Parts {
  readonly entity: string;
  readonly other: string;
  readonly id: string;
  readonly from: number;
  readonly entry: string;
}

function keysOf(keys: ShardKeys, { entity: of, other, id, from, entry: at }: Parts): string[] {
  return [
    keys.head(of),
    keys.erased(of),
    keys.memory(of, id),
    keys.until(of, from),
    keys.event(of, from),
    keys.snapshot(of, from),
    keys.id(id, of),
    keys.effect(id, other, of, from),
    keys.effect(id, '', of, from),
    keys.liveAttribute(at, of),
    keys.formerAttribute(at, of, from),
  ];
}

test('every row of an entity is in the partition of the entity', () => {
  const partitioner = new RowPartitioner(PARTITIONS);
  fc.assert(
    fc.property(rows, fc.constantFrom('default', 'acme', 'a'), ({ of, keysIn }, tenant) => {
      const expected = partitionOf(partitionKey(tenant, of.entity), PARTITIONS);
      for (const key of keysIn(new ShardKeys(tenant, 7))) {
        assert.equal(partitioner.partitionOf(tenant, toKey(key)), expected, JSON.stringify(key));
        assert.equal(entityOfRow(toKey(key), tenant.length + 3), of.entity, JSON.stringify(key));
      }
    }),
    { seed, numRuns: 500 },
  );
});

test('a row of a table that no tenant has is refused', () => {
  const key = toKey(`${new ShardKeys('acme', 7).table('b')}user/1`);
  assert.throws(() => new RowPartitioner(PARTITIONS).partitionOf('acme', key), /no tenant/);
});
