import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Act } from './act.ts';
import { CounterMemory } from './counter-memory.ts';
import { RegisterMemory } from './register-memory.ts';
import { SetMemory } from './set-memory.ts';

/** From one time to another at a replica. */
function act(replica: string, startMs: number, endMs: number, more: Partial<Act> = {}): Act {
  const usual = { isDone: true, life: 0, epoch: 0, isBehind: false, side: undefined };
  return { replica, startMs, endMs, ...usual, ...more };
}

const unanswered = { isDone: false };
const E = new Set(['e']);
const NONE = new Set<string>();

describe('what replicas may have', () => {
  it('a counter: what was answered once, what was not at most once', () => {
    const memory = new CounterMemory();
    memory.record({ isDone: true }, 5);
    memory.record(unanswered, 2);
    memory.record(unanswered, -3);
    for (const value of [2, 4, 5, 7]) assert.equal(memory.check(value), undefined);
    for (const value of [1, 8]) assert.notEqual(memory.check(value), undefined);
    memory.confirm(2);
    assert.notEqual(memory.check(3), undefined);
    memory.doubt(5);
    for (const value of [-1, 2, 7]) assert.equal(memory.check(value), undefined);
    memory.settle(4);
    assert.notEqual(memory.check(5), undefined);
  });

  it('a set: an add that no removal may have seen', () => {
    const memory = new SetMemory();
    memory.removed('e', act('b', 0, 5));
    memory.added('e', act('a', 10, 20));
    assert.equal(memory.check(NONE).length, 1);
    memory.removed('e', act('b', 15, 25));
    assert.deepEqual([memory.check(NONE), memory.check(E)], [[], []]);
    memory.removed('e', act('a', 30, 40));
    assert.equal(memory.check(E).length, 1);
  });

  it('a set: an add on the other side of a cut, and no removal of an earlier one', () => {
    const memory = new SetMemory();
    const [left, right] = [['a'], ['b']].map((ids) => ({ side: { cut: 1, ids } }));
    memory.added('e', act('a', 10, 20, left));
    memory.removed('e', act('b', 30, 40, right));
    assert.equal(memory.check(NONE).length, 1);
    memory.removed('e', act('b', 50, 60, { epoch: 1, isBehind: true }));
    assert.deepEqual([memory.check(NONE), memory.check(E)], [[], []]);
    memory.removed('e', act('b', 50, 60, { epoch: 1 }));
    assert.equal(memory.check(E).length, 1);
    assert.deepEqual(memory.check(NONE), []);
  });

  it('a set: what was not answered, or not', () => {
    const memory = new SetMemory();
    memory.added('e', act('a', 10, 20, unanswered));
    assert.deepEqual([memory.check(NONE), memory.check(E)], [[], []]);
    memory.reset(act('b', 30, 40, { ...unanswered, epoch: 1 }));
    assert.deepEqual([memory.check(NONE), memory.check(E)], [[], []]);
    memory.settle(NONE, act('', 50, 50));
    assert.equal(memory.check(E).length, 1);
  });

  it('a register: one of the last writes', () => {
    const memory = new RegisterMemory();
    assert.equal(memory.check(undefined), undefined);
    memory.wrote('1', act('a', 0, 10));
    memory.wrote('2', act('b', 5, 15));
    memory.wrote('3', act('c', 30, 40, unanswered));
    for (const value of ['1', '2', '3']) assert.equal(memory.check(value), undefined);
    memory.wrote('4', act('c', 50, 60));
    for (const value of ['1', '3', '5', undefined]) assert.notEqual(memory.check(value), undefined);
    memory.settle('4');
    assert.equal(memory.check('4'), undefined);
  });
});
