import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { encodeSet } from './codec.ts';
import { DeltaBuffer, type DeltaInterval } from './delta-buffer.ts';
import {
  decodeAcknowledgement,
  decodeInterval,
  encodeAcknowledgement,
  encodeInterval,
} from './delta-codec.ts';
import { DeltaInbox } from './delta-inbox.ts';
import { joinAll } from './lattice.ts';
import { setLattice } from './lattices.ts';
import { addElement, emptySet, joinSetInto, type OrSetState } from './or-set.ts';
import { decodeSetStrictly } from './strict-codec.ts';

const LOG = '1'.repeat(32);
const A = 'a'.repeat(32);
/** The life of a neighbour. */
const lifeOf = (id: string) => id.repeat(32);
const READER = lifeOf('b');

function world(options: { entries_max?: number; bytes_max?: number; interval_bytes_max?: number }) {
  const state = emptySet();
  const buffer = new DeltaBuffer<OrSetState>({
    lattice: setLattice,
    log: LOG,
    weigh: (delta) => encodeSet(delta).length,
    entries_max: 8,
    bytes_max: 10_000,
    interval_bytes_max: 10_000,
    ...options,
  });
  for (const id of ['b', 'c']) {
    buffer.addNeighbour(id);
    buffer.acknowledge(id, { reader: lifeOf(id), position: buffer.position });
  }
  const add = (element: string, origin?: string) => {
    const delta = addElement(state, A, element);
    joinSetInto(state, delta);
    buffer.append(delta, origin);
    return delta;
  };
  return { state, buffer, add };
}

function intervalFor(buffer: DeltaBuffer<OrSetState>, id: string): DeltaInterval<OrSetState> {
  const next = buffer.next(id);
  assert.equal(next.kind, 'interval');
  if (next.kind !== 'interval') throw new Error('no interval');
  return next.interval;
}

describe('a delta buffer', () => {
  it('sends what was not acknowledged, as one interval, until it is', () => {
    const { buffer, add } = world({});
    const deltas = [add('x'), add('y')];
    const interval = intervalFor(buffer, 'b');
    assert.deepEqual(interval.delta, joinAll(setLattice, deltas));
    assert.deepEqual(intervalFor(buffer, 'b'), interval);
    buffer.acknowledge('b', { reader: lifeOf('b'), position: interval });
    assert.equal(buffer.next('b').kind, 'nothing');
    assert.equal(buffer.entries, 2);
    buffer.acknowledge('c', { reader: lifeOf('c'), position: interval });
    assert.equal(buffer.entries, 0);
    assert.equal(buffer.bytes, 0);
  });

  it('sends nothing back to where it came from', () => {
    const { buffer, add } = world({});
    add('from b', lifeOf('b'));
    assert.equal(buffer.next('b').kind, 'nothing');
    const own = add('own');
    assert.deepEqual(intervalFor(buffer, 'b').delta, own);
    assert.equal(intervalFor(buffer, 'c').delta.elements.size, 2);
  });

  it('sends what came from a neighbour to a later life of it', () => {
    const { buffer, add } = world({});
    const { position } = buffer;
    const lost = add('from b', lifeOf('b'));
    const later = lifeOf('d');
    buffer.acknowledge('b', { reader: later, position });
    assert.deepEqual(intervalFor(buffer, 'b'), {
      ...buffer.position,
      reader: later,
      after: position.upTo,
      delta: lost,
    });
    buffer.acknowledge('b', { reader: lifeOf('b'), position });
    buffer.acknowledge('c', { reader: lifeOf('c'), position: buffer.position });
    assert.equal(buffer.entries, 0);
    buffer.acknowledge('b', { reader: later, position });
    assert.equal(buffer.next('b').kind, 'anti-entropy');
  });

  it('begins with anti-entropy, which an older acknowledgement does not end', () => {
    const { buffer, add } = world({});
    buffer.addNeighbour('d');
    add('x');
    const first = buffer.next('d');
    assert.equal(first.kind, 'anti-entropy');
    const { position } = buffer;
    buffer.acknowledge('d', { reader: lifeOf('d'), position: { ...position, log: A } });
    buffer.acknowledge('d', { reader: lifeOf('d'), position: { ...position, upTo: 0 } });
    assert.equal(buffer.next('d').kind, 'anti-entropy');
    buffer.acknowledge('d', { reader: lifeOf('d'), position: position });
    assert.equal(buffer.next('d').kind, 'nothing');
    buffer.forget('d');
    buffer.acknowledge('d', { reader: lifeOf('d'), position: position });
    assert.equal(buffer.next('d').kind, 'anti-entropy');
    buffer.acknowledge('d', { reader: lifeOf('d'), position: buffer.position });
    assert.equal(buffer.next('d').kind, 'nothing');
  });

  it('drops the oldest beyond its bounds, and says who is behind', () => {
    const { buffer, add } = world({ entries_max: 3 });
    add('1');
    buffer.acknowledge('b', { reader: lifeOf('b'), position: intervalFor(buffer, 'b') });
    for (const element of ['2', '3', '4']) add(element);
    assert.equal(buffer.entries, 3);
    assert.equal(buffer.next('b').kind, 'interval');
    assert.equal(buffer.next('c').kind, 'anti-entropy');
    const stale = buffer.position;
    for (const element of ['5', '6', '7', '8']) add(element);
    buffer.acknowledge('c', { reader: lifeOf('c'), position: stale });
    assert.equal(buffer.next('c').kind, 'anti-entropy');
    buffer.removeNeighbour('b');
    buffer.removeNeighbour('c');
    assert.equal(buffer.entries, 0);
  });

  it('is bounded in bytes', () => {
    const { buffer, add } = world({ bytes_max: 500 });
    for (let i = 0; i < 50; i++) {
      add(`element ${i}`);
      assert.ok(buffer.bytes <= 500);
    }
    add('x'.repeat(1000));
    assert.equal(buffer.entries, 0);
    assert.equal(buffer.next('b').kind, 'anti-entropy');
  });

  it('cuts intervals to size', () => {
    const { state, buffer, add } = world({ interval_bytes_max: 120 });
    for (let i = 0; i < 6; i++) add(`element ${i}`);
    const there = emptySet();
    const inbox = new DeltaInbox(READER);
    inbox.advance('a', { log: LOG, upTo: 2 });
    let sent = 0;
    for (let next = buffer.next('b'); next.kind === 'interval'; next = buffer.next('b')) {
      assert.equal(inbox.judge('a', next.interval), 'join');
      joinSetInto(there, next.interval.delta);
      inbox.advance('a', next.interval);
      buffer.acknowledge('b', inbox.acknowledgement('a'));
      sent++;
    }
    assert.ok(sent > 1);
    assert.deepEqual(encodeSet(there), encodeSet(state));
  });
});

describe('a delta inbox', () => {
  it('takes no interval before what precedes it', () => {
    const inbox = new DeltaInbox(READER);
    const interval = (after: number, upTo: number) => ({ log: LOG, reader: READER, after, upTo });
    assert.equal(inbox.judge('a', interval(0, 3)), 'gap');
    inbox.advance('a', { log: LOG, upTo: 3 });
    assert.equal(inbox.judge('a', interval(4, 5)), 'gap');
    assert.equal(inbox.judge('a', interval(3, 5)), 'join');
    assert.equal(inbox.judge('a', interval(1, 5)), 'join');
    assert.equal(inbox.judge('a', interval(1, 3)), 'known');
    assert.equal(inbox.judge('a', { ...interval(3, 5), log: A }), 'gap');
    assert.equal(inbox.judge('a', { ...interval(3, 5), reader: A }), 'gap');
    assert.equal(inbox.acknowledgement('a', 'gap').position, undefined);
    assert.equal(inbox.isNewLog('a', A), true);
    inbox.advance('a', { log: LOG, upTo: 2 });
    assert.deepEqual(inbox.acknowledgement('a'), {
      reader: READER,
      position: { log: LOG, upTo: 3 },
    });
    inbox.forget('a');
    assert.equal(inbox.acknowledgement('a').position, undefined);
  });
});

describe('intervals and positions on the wire', () => {
  it('read back to what they were', () => {
    const { buffer, add } = world({});
    add('x');
    const interval = intervalFor(buffer, 'b');
    const bytes = encodeInterval(interval, encodeSet);
    assert.deepEqual(decodeInterval(bytes, decodeSetStrictly), interval);
    for (const position of [buffer.position, undefined]) {
      const ack = { reader: READER, position };
      assert.deepEqual(decodeAcknowledgement(encodeAcknowledgement(ack)), ack);
    }
  });
});
