import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { emptyCounter } from '../counter.ts';
import { counterLattice } from '../lattices.ts';
import { CommitLog } from './commit-log.ts';

const A = '0a'.repeat(16);
const B = 'b0'.repeat(16);

function delta(incarnation: string, seq: number) {
  const entry = { seq, net: BigInt(seq), resetSeq: 0, resetNet: 0n };
  return { ...emptyCounter(), entries: new Map([[incarnation, entry]]) };
}

function newLog(known = new Map<string, number>(), bounds = {}) {
  const options = { entries_max: 10, bytes_max: 1_000, delta_bytes_max: 100, ...bounds };
  const merged_bytes_max = options.delta_bytes_max;
  return new CommitLog(
    { lattice: counterLattice, weigh: () => 10, merged_bytes_max, ...options },
    known,
  );
}

const ALL = {
  senders: new Set([A, B]),
  passOnBeforeMs: Number.POSITIVE_INFINITY,
  bytes_max: 1_000,
};
const received = (incarnation: string, after: number, upTo: number) => [
  { incarnation, after, upTo },
];

describe('the log of commits', () => {
  it('gives a reader just what its vector lacks, joined', () => {
    const log = newLog();
    log.appendOwn(A, 1, delta(A, 1), 0);
    log.appendOwn(A, 2, delta(A, 2), 0);
    log.appendReceived(received(B, 0, 3), delta(B, 3), 10, 0);
    const all = log.read(new Map(), ALL);
    assert.deepEqual(all.ranges, [...received(A, 0, 2), ...received(B, 0, 3)]);
    assert.equal(all.delta.entries.get(A)?.net, 2n);
    assert.deepEqual(log.read(new Map([[A, 2]]), ALL).ranges, received(B, 0, 3));
    const up = new Map([
      [A, 2],
      [B, 3],
    ]);
    assert.deepEqual(log.read(up, ALL).ranges, []);
  });

  it('makes one entry of own commits until somebody has read it', () => {
    const log = newLog();
    for (let number = 1; number <= 5; number++) log.appendOwn(A, number, delta(A, number), 0);
    assert.equal(log.entries, 1);
    log.read(new Map(), ALL);
    log.appendOwn(A, 6, delta(A, 6), 0);
    assert.equal(log.entries, 2);
    assert.deepEqual(log.read(new Map([[A, 5]]), ALL).ranges, received(A, 5, 6));
  });

  it('passes commits of others on only after a while, and names them as causes till then', () => {
    const log = newLog();
    log.appendOwn(A, 1, delta(A, 1), 45);
    log.appendReceived(received(B, 0, 1), delta(B, 1), 10, 50);
    log.appendOwn(A, 2, delta(A, 2), 60);
    const early = log.read(new Map(), { ...ALL, passOnBeforeMs: 40 });
    assert.deepEqual(early.ranges, received(A, 0, 2));
    assert.deepEqual([...early.causes], [[B, 1]]);
    assert.equal(early.isBehind, false);
    const gone = log.read(new Map(), { ...ALL, senders: new Set(), passOnBeforeMs: 40 });
    assert.deepEqual(gone.ranges, [...received(A, 0, 2), ...received(B, 0, 1)]);
    const known = log.read(new Map([[B, 1]]), { ...ALL, passOnBeforeMs: 40 });
    assert.deepEqual(known.ranges, received(A, 0, 2));
    log.appendReceived(received(B, 1, 2), delta(B, 2), 10, 70);
    const later = log.read(new Map(), { ...ALL, passOnBeforeMs: 50 });
    assert.deepEqual(later.ranges, [...received(A, 0, 2), ...received(B, 0, 1)]);
    // What is left out stands behind all of it.
    assert.deepEqual([...later.causes], []);
  });

  it('sends what is late without what has causes that are still left to others', () => {
    const log = newLog();
    log.appendOwn(A, 1, delta(A, 1), 10);
    log.appendReceived(received(B, 0, 1), delta(B, 1), 10, 20);
    log.appendReceived(received(B, 1, 2), delta(B, 2), 10, 50);
    log.appendOwn(A, 2, delta(A, 2), 60);
    const late = log.read(new Map(), { ...ALL, passOnBeforeMs: 40 });
    assert.deepEqual(late.ranges, [...received(A, 0, 1), ...received(B, 0, 1)]);
    assert.deepEqual([[...late.causes], late.hasMore], [[], true]);
    const has = new Map(late.ranges.map(({ incarnation, upTo }) => [incarnation, upTo]));
    const rest = log.read(has, { ...ALL, passOnBeforeMs: 40 });
    assert.deepEqual([rest.ranges, [...rest.causes]], [received(A, 1, 2), [[B, 2]]]);
  });

  it('knows who is behind: below its floor, its bounds, or commits that came with a state', () => {
    assert.equal(newLog(new Map([[B, 4]])).read(new Map([[B, 3]]), ALL).isBehind, true);
    const log = newLog(new Map(), { entries_max: 2 });
    for (let number = 1; number <= 3; number++) {
      log.appendOwn(A, number, delta(A, number), 0);
      log.read(new Map([[A, number - 1]]), ALL);
    }
    assert.equal(log.entries, 2);
    assert.equal(log.read(new Map(), ALL).isBehind, true);
    assert.deepEqual(log.read(new Map([[A, 1]]), ALL).ranges, received(A, 1, 3));
    log.appendUnknown(received(B, 0, 9), 0);
    const reading = log.read(new Map([[A, 2]]), ALL);
    assert.deepEqual([reading.ranges, reading.isBehind], [received(A, 2, 3), true]);
  });

  it('keeps as a cause what it drops because all have it', () => {
    const log = newLog();
    log.appendReceived(received(B, 0, 1), delta(B, 1), 10, 0);
    log.appendOwn(A, 1, delta(A, 1), 0);
    log.trim([new Map([[B, 1]])]);
    assert.equal(log.entries, 1);
    // One that had it has lost it in a crash: what may depend on it does not come first.
    const reading = log.read(new Map(), ALL);
    assert.deepEqual([reading.ranges, reading.isBehind], [[], true]);
  });

  it('gives no more than a message may have, and one that is larger alone', () => {
    const log = newLog(new Map(), { delta_bytes_max: 10 });
    for (let number = 1; number <= 4; number++) log.appendOwn(A, number, delta(A, number), 0);
    const first = log.read(new Map(), { ...ALL, bytes_max: 25 });
    assert.deepEqual([first.ranges, first.hasMore], [received(A, 0, 2), true]);
    assert.deepEqual(log.read(new Map(), { ...ALL, bytes_max: 1 }).ranges, received(A, 0, 1));
  });
});
