import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatHlc } from '@memplane/clock';
import fc from 'fast-check';
import { KnownHistories } from './known-histories.ts';
import { type HistoryEntry, PastFold, type PastState } from './past-state.ts';
import { encodeHistory, encodeSnapshot } from './rows.ts';

const OWNER = {};
const KEY = 'user/1';
const HISTORY_ROWS = 60;

/** An event every few offsets, some of them rejected, and after some of them the state. */
function historyOf(seed: readonly number[]): HistoryEntry[] {
  const rows: HistoryEntry[] = [];
  let offset = 0;
  let sequence = 0;
  let n = -1;
  for (const drawn of seed) {
    offset += 1 + (drawn % 3);
    const isRejected = drawn % 7 === 0;
    const hlc = BigInt(offset) << 16n;
    if (!isRejected) n = offset;
    if (!isRejected) sequence++;
    const event = { id: `e${offset}`, hlc: formatHlc(hlc), data: { attributes: { n: offset } } };
    const value = encodeHistory(isRejected, sequence, hlc, Buffer.from(JSON.stringify(event)));
    rows.push({ offset, isEvent: true, value });
    if (isRejected || drawn % 5 !== 0) continue;
    const state = encodeSnapshot(
      sequence,
      hlc,
      JSON.stringify({ attributes: { n }, memories: [] }),
    );
    rows.push({ offset, isEvent: false, value: state });
  }
  return rows;
}

/** By all rows from the beginning. */
function naive(rows: readonly HistoryEntry[], offset: number): PastState | undefined {
  const fold = new PastFold();
  for (const row of rows.toReversed()) if (row.offset <= offset && row.isEvent) fold.add(row);
  return fold.finish();
}

const seedOf = fc.array(fc.nat(1_000), { minLength: 1, maxLength: HISTORY_ROWS });

test('what is known is what the whole history tells, whatever was read in whichever order', () => {
  let known = 0;
  fc.assert(
    fc.property(
      seedOf,
      fc.array(fc.record({ from: fc.nat(HISTORY_ROWS), rows: fc.integer({ min: 1, max: 20 }) })),
      fc.integer({ min: 0, max: 12_000 }),
      (seed, reads, bytesMax) => {
        const rows = historyOf(seed);
        const histories = new KnownHistories(bytesMax);
        for (const { from, rows: count } of reads) {
          const start = rows.findIndex((row, i) => i >= from % rows.length && row.isEvent);
          if (start >= 0) histories.keep(OWNER, KEY, rows.slice(start, start + count), start === 0);
          assert.ok(histories.bytes <= bytesMax);
          for (const { offset } of rows) {
            const found = histories.stateAt(OWNER, KEY, offset);
            if (found === undefined) continue;
            known++;
            assert.deepEqual(found, naive(rows, offset));
          }
        }
      },
    ),
  );
  assert.ok(known > 100, `${known} states were known`);
});

test('a history that was kept in parts that overlap is known after each of its events', () => {
  const orders = fc.infiniteStream(fc.nat());
  fc.assert(
    fc.property(seedOf, fc.integer({ min: 0, max: 9 }), orders, (seed, more, order) => {
      const rows = historyOf(seed);
      const histories = new KnownHistories(1e6);
      // Each begins as a read does: with the event of a stored state.
      const begins = rows.flatMap((_, i) => (rows[i + 1]?.isEvent === false ? [i] : []));
      const parts = begins.map((from, i) => ({
        rows: rows.slice(from, (begins[i + 1] ?? rows.length) + more),
        order: order.next().value,
      }));
      for (const part of parts.sort((a, b) => a.order - b.order)) {
        histories.keep(OWNER, KEY, part.rows, false);
      }
      for (const { offset } of rows.slice(begins[0] ?? rows.length)) {
        assert.ok(histories.stateAt(OWNER, KEY, offset), `at ${offset}`);
        assert.equal(histories.stateAt(OWNER, KEY, offset + 0.5), undefined);
      }
    }),
  );
});

test('who was not asked for longest goes first, and another owner knows nothing', () => {
  const rows = historyOf([5, 10, 5]);
  const histories = new KnownHistories(1e6);
  const last = rows.at(-1)?.offset ?? 0;
  histories.keep(OWNER, 'a', rows, false);
  const ofOne = histories.bytes;
  assert.equal(histories.stateAt({}, 'a', last), undefined);
  const small = new KnownHistories(ofOne * 2);
  small.keep(OWNER, 'a', rows, false);
  small.keep(OWNER, 'b', rows, false);
  assert.ok(small.stateAt(OWNER, 'a', last));
  small.keep(OWNER, 'c', rows, false);
  assert.deepEqual(
    ['a', 'b', 'c'].map((key) => small.has(OWNER, key)),
    [true, false, true],
  );
  small.keep({}, 'a', rows, false);
  assert.equal(small.has(OWNER, 'a'), false);
  small.forget(OWNER);
  assert.equal(small.has(OWNER, 'c'), false);
  assert.equal(small.bytes, ofOne);
});
