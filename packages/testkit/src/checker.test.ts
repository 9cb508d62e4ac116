import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Accepted, EntityView } from './as-views.ts';
import { checkLog, checkOffsets, checkView, Ledger, type SentEvent } from './checker.ts';
import type { FeedRecord } from './feed.ts';
import { Fold, mergePatch } from './fold.ts';

const ENTITY = 'user/1';
const FLOOR = '000000000000-0000';

function story(): { ledger: Ledger; records: FeedRecord[] } {
  const events: SentEvent[] = [
    { id: 'a', type: 'T', entity: ENTITY, attributes: { n: 1, drop: true } },
    { id: 'b', type: 'T', entity: ENTITY, memory: { id: 'm', text: 'one', metadata: { n: 1 } } },
    { id: 'c', type: 'T', entity: ENTITY, attributes: { n: 2, drop: null } },
  ];
  const records = events.map(
    (event, offset): FeedRecord => ({
      partition: 3,
      offset,
      epoch: 0,
      event: {
        id: event.id,
        type: event.type,
        subject: ENTITY,
        hlc: `00000000000${offset + 1}-0000`,
        digest: `digest-${event.id}`,
        data: {
          ...(event.attributes ? { attributes: event.attributes } : {}),
          ...(event.memory ? { memory: event.memory } : {}),
        },
      },
    }),
  );
  const ledger = new Ledger();
  ledger.send(events);
  ledger.acknowledge(records.map(accepted));
  return { ledger, records };
}

function accepted(record: FeedRecord): Accepted {
  const { partition, offset, event } = record;
  return { id: event.id, entity: ENTITY, partition, offset, hlc: event.hlc, duplicate: false };
}

function foldOf(records: readonly FeedRecord[]): Fold {
  const fold = new Fold();
  for (const record of records) fold.apply(record);
  return fold;
}

function faults(ledger: Ledger, records: readonly FeedRecord[]): string {
  return [...checkLog(ledger, foldOf(records), records, FLOOR), ...checkOffsets(records)].join(
    '\n',
  );
}

function changed(record: FeedRecord, change: Partial<FeedRecord['event']>): FeedRecord {
  return { ...record, event: { ...record.event, ...change } };
}

test('a log that keeps its promises has no fault', () => {
  const { ledger, records } = story();
  assert.equal(faults(ledger, records), '');
});

test('the log checker notices what a broken log would do', () => {
  const { ledger, records } = story();
  const [a, b, c] = records as [FeedRecord, FeedRecord, FeedRecord];
  assert.match(faults(ledger, [a, b]), /acknowledged but lost: user\/1 c/);
  assert.match(faults(ledger, [a, { ...c, offset: 1 }, { ...b, offset: 2 }]), /first at 3\/2/);
  assert.match(faults(ledger, [a, { ...b, offset: 2 }, { ...c, offset: 3 }]), /2 where 1 is next/);
  const other = changed(b, { data: { memory: { id: 'm', text: 'two', metadata: { n: 1 } } } });
  assert.match(faults(ledger, [a, other, c]), /other content than was sent at 3\/1/);
  assert.match(
    faults(ledger, [...records, changed({ ...c, offset: 3 }, { id: 'x' })]),
    /nobody sent/,
  );
  assert.match(faults(ledger, [a, b, changed(c, { hlc: '000000000009-0000' })]), /with stamp/);
  const late = checkLog(ledger, foldOf(records), records, '000000000002-0000').join('\n');
  assert.match(late, /stamp went back at 3\/0[\s\S]*stamp went back at 3\/1/);
});

test('a second copy of an event is applied once, and acknowledged where the first is', () => {
  const { ledger, records } = story();
  const copy = { ...(records[0] as FeedRecord), offset: 3 };
  const fold = foldOf([...records, copy]);
  assert.equal(fold.duplicates, 1);
  assert.equal(fold.entities.get(ENTITY)?.sequence, 3);
  assert.equal(faults(ledger, [...records, copy]), '');
  ledger.acknowledge([{ ...accepted(copy), duplicate: true }]);
  assert.match(faults(ledger, [...records, copy]), /acknowledged at 3\/3 \(duplicate: true\)/);
});

test('the view checker notices a view that is behind, doubled or wrong', () => {
  const folded = foldOf(story().records).entities.get(ENTITY)!;
  const view: EntityView = {
    entity: ENTITY,
    attributes: { n: 2 },
    memories: [{ id: 'm', text: 'one', metadata: { n: 1 } }],
    sequence: 3,
    asOf: { epoch: 0, partition: 3, offset: 2, hlc: '000000000003-0000' },
  };
  const says = (change: Partial<EntityView>) =>
    checkView({ ...view, ...change }, folded).join('\n');
  assert.equal(says({}), '');
  assert.match(says({ attributes: { n: 1 } }), /attributes is/);
  assert.match(says({ sequence: 4 }), /sequence is 4, the log says 3/);
  assert.match(says({ memories: [] }), /memory ids/);
  assert.match(says({ memories: [...view.memories, ...view.memories] }), /there twice/);
  assert.match(says({ memories: [{ id: 'm', text: 'two', metadata: { n: 1 } }] }), /text of m/);
  assert.match(says({ asOf: { ...view.asOf, offset: 1 } }), /offset is 1/);
  assert.deepEqual(checkView(undefined, folded), ['no view of user/1']);
});

test('the merge patch of the fold follows the cases of RFC 7396, appendix A', () => {
  const cases: [unknown, unknown, unknown][] = [
    [{ a: 'b' }, { a: 'c' }, { a: 'c' }],
    [{ a: 'b' }, { b: 'c' }, { a: 'b', b: 'c' }],
    [{ a: 'b' }, { a: null }, {}],
    [{ a: 'b', b: 'c' }, { a: null }, { b: 'c' }],
    [{ a: ['b'] }, { a: 'c' }, { a: 'c' }],
    [{ a: 'c' }, { a: ['b'] }, { a: ['b'] }],
    [{ a: { b: 'c' } }, { a: { b: 'd', c: null } }, { a: { b: 'd' } }],
    [{ a: [{ b: 'c' }] }, { a: [1] }, { a: [1] }],
    [
      ['a', 'b'],
      ['c', 'd'],
      ['c', 'd'],
    ],
    [{ a: 'b' }, ['c'], ['c']],
    [{ a: 'foo' }, null, null],
    [{ a: 'foo' }, 'bar', 'bar'],
    [{ e: null }, { a: 1 }, { e: null, a: 1 }],
    [[1, 2], { a: 'b', c: null }, { a: 'b' }],
    [{}, { a: { bb: { ccc: null } } }, { a: { bb: {} } }],
  ];
  for (const [target, patch, result] of cases) assert.deepEqual(mergePatch(target, patch), result);
});
