import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { decodeRegister, encodeRegister } from './codec.ts';
import {
  addDot,
  containsDot,
  contextOf,
  dotsOf,
  sameContext,
  subtractContext,
  uniteContexts,
} from './context.ts';
import {
  COUNTER_MAX,
  type CounterState,
  counterExists,
  counterSum,
  counterValue,
  emptyCounter,
  increment,
  joinCounterInto,
  joinCounters,
  resetCounter,
} from './counter.ts';
import { compareDots, hasDot } from './dot.ts';
import {
  emptyRegister,
  joinRegisters,
  readRegister,
  resetRegister,
  writeRegister,
} from './lww-register.ts';
import { addElement, emptySet, joinSets, removeElement, resetSet } from './or-set.ts';

const A = 'a'.repeat(32);
const B = 'b'.repeat(32);

function add(state: CounterState, at: string, by: number, kind?: 'g' | 'pn'): CounterState {
  return joinCounters(state, increment(state, at, BigInt(by), kind));
}

describe('counter', () => {
  it('sums what all replicas added', () => {
    const a = add(add(emptyCounter(), A, 5), A, -2);
    const b = add(emptyCounter(), B, 10);
    assert.equal(counterValue(joinCounters(a, b)), 13);
  });

  it('is reset exactly: what was added concurrently, on the same incarnation too, survives', () => {
    const before = add(add(emptyCounter(), A, 5), B, 7);
    const reset = resetCounter(before);
    const concurrent = add(add(before, A, 100), B, 1000);
    assert.equal(counterValue(joinCounters(concurrent, reset)), 1100);
    assert.equal(counterValue(joinCounters(joinCounters(before, reset), concurrent)), 1100);
    assert.equal(counterExists(joinCounters(before, reset)), false);
  });

  it('keeps one entry an incarnation, however many increments', () => {
    const state = emptyCounter();
    for (let i = 0; i < 1000; i++) joinCounterInto(state, increment(state, A, 1n));
    assert.equal(state.entries.size, 1);
    assert.equal(counterValue(state), 1000);
  });

  it('refuses to leave ± (2^53 − 1), and keeps exact what merges take beyond it', () => {
    const a = add(emptyCounter(), A, COUNTER_MAX);
    assert.throws(() => increment(a, A, 1n), { code: 'counter_overflow' });
    assert.equal(counterValue(add(a, A, -COUNTER_MAX)), 0);
    assert.equal(counterValue(add(add(a, A, -COUNTER_MAX), A, -COUNTER_MAX)), -COUNTER_MAX);
    const merged = joinCounters(a, add(emptyCounter(), B, COUNTER_MAX));
    assert.throws(() => counterValue(merged), { code: 'counter_overflow' });
    assert.equal(counterSum(merged), 2n * BigInt(COUNTER_MAX));
  });

  it('of kind g refuses to shrink, and does not become pn while it stands', () => {
    const state = add(emptyCounter(), A, 3, 'g');
    assert.throws(() => increment(state, A, -1n), { code: 'invalid_request', field: 'body.by' });
    assert.throws(() => increment(state, A, 1n, 'pn'), { code: 'wrong_type' });
    assert.throws(() => increment(add(emptyCounter(), A, 1), A, 1n, 'g'), { code: 'wrong_type' });
  });
});

describe('or-set', () => {
  it('lets an add win over a concurrent removal, and a removal over what it saw', () => {
    const seen = addElement(emptySet(), A, 'x');
    const removal = removeElement(seen, 'x');
    const again = joinSets(seen, addElement(seen, B, 'x'));
    assert.equal(joinSets(again, removal).elements.has('x'), true);
    assert.equal(joinSets(seen, removal).elements.has('x'), false);
  });

  it('does not bring a removed element back when its add arrives late', () => {
    const added = addElement(emptySet(), A, 'x');
    const removed = removeElement(added, 'x');
    const gone = joinSets(joinSets(emptySet(), removed), added);
    assert.equal(gone.elements.size, 0);
    assert.equal(joinSets(gone, added).elements.size, 0);
  });

  it('is reset by what was seen: a concurrent add survives', () => {
    const seen = addElement(emptySet(), A, 'x');
    const concurrent = addElement(seen, B, 'y');
    const joined = joinSets(joinSets(seen, concurrent), resetSet(seen));
    assert.deepEqual([...joined.elements.keys()], ['y']);
  });
});

describe('lww-register', () => {
  const write = (at: string, hlc: bigint, value: string) => ({
    incarnation: at,
    hlc,
    replica: at.slice(0, 1),
    value,
  });

  it('goes by stamp, then by replica id', () => {
    const a = writeRegister(emptyRegister(), write(A, 5n, 'from a'));
    const b = writeRegister(emptyRegister(), write(B, 5n, 'from b'));
    assert.equal(readRegister(joinRegisters(a, b))?.value, 'from b');
    const later = joinRegisters(b, writeRegister(b, write(A, 6n, 'later')));
    assert.equal(readRegister(joinRegisters(later, a))?.value, 'later');
    const stale = joinRegisters(later, writeRegister(later, write(B, 1n, 'slow clock')));
    assert.equal(readRegister(stale)?.value, 'later');
  });

  it('is reset by what was seen: a concurrent write survives, even one with a lower stamp', () => {
    const a = writeRegister(emptyRegister(), write(A, 9n, 'seen'));
    const b = writeRegister(emptyRegister(), write(B, 5n, 'not seen'));
    const reset = resetRegister(a);
    const one = joinRegisters(joinRegisters(a, b), reset);
    const other = joinRegisters(a, joinRegisters(b, reset));
    assert.equal(readRegister(one)?.value, 'not seen');
    assert.deepEqual(one, other);
  });
});

describe("a register's value", () => {
  it('is stored as it is, whatever JSON it is', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (json) => {
        const value = JSON.parse(JSON.stringify(json));
        const write = { incarnation: A, hlc: 1n, replica: 'a', value };
        const state = joinRegisters(emptyRegister(), writeRegister(emptyRegister(), write));
        assert.deepEqual(readRegister(decodeRegister(encodeRegister(state)))?.value, value);
      }),
    );
  });
});

describe('dots in order', () => {
  it('are looked up right, few or many', () => {
    const seqs = fc.uniqueArray(fc.integer({ min: 1, max: 60 }), { maxLength: 40 });
    fc.assert(
      fc.property(seqs, fc.integer({ min: 1, max: 60 }), (some, seq) => {
        const dots = some.map((it) => ({ incarnation: it % 2 ? A : B, seq: it })).sort(compareDots);
        return hasDot(dots, { incarnation: seq % 2 ? A : B, seq }) === some.includes(seq);
      }),
    );
  });
});

describe('causal context', () => {
  const dots = fc.array(
    fc.record({ incarnation: fc.constantFrom(A, B), seq: fc.integer({ min: 1, max: 12 }) }),
  );

  it('is a set of dots', () => {
    fc.assert(
      fc.property(dots, dots, (some, others) => {
        const key = (dot: { incarnation: string; seq: number }) => dot.incarnation + dot.seq;
        const context = contextOf(some);
        const naive = new Set(some.map(key));
        for (const dot of others) {
          assert.equal(containsDot(context, dot), naive.has(key(dot)));
        }
        const gone = new Set(others.map(key));
        const left = new Set(some.map(key).filter((name) => !gone.has(name)));
        const rest = [...dotsOf(subtractContext(context, contextOf(others)))].map(key);
        assert.deepEqual(rest.sort(), [...left].sort());
        for (const dot of others)
          assert.equal(addDot(context, dot), !naive.has(key(dot)) && !!naive.add(key(dot)));
        assert.deepEqual([...dotsOf(context)].map(key).sort(), [...naive].sort());
        const united = uniteContexts([contextOf(some), contextOf(others), contextOf(some)]);
        assert.ok(sameContext(united, context));
      }),
    );
  });
});
