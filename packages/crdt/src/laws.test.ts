import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import * as codec from './codec.ts';
import { type CounterState, joinCounters } from './counter.ts';
import { joinRegisters, type RegisterState, readRegister } from './lww-register.ts';
import { decodeMap } from './or-map-codec.ts';
import { joinSets, type OrSetState } from './or-set.ts';
import { decodePatch } from './piece-codec.ts';
import { decodeFlag } from './quorum-flag-codec.ts';
import {
  counterLattice,
  flagTestLattice,
  mapTestLattice,
  opLattice,
  patchTestLattice,
  registerLattice,
  setLattice,
  type TestLattice,
} from './test-lattice.ts';
import { laws, play, same, steps } from './test-world.ts';

const RUNS = Number(process.env['MEMPLANE_PROPERTY_RUNS'] ?? 1000);

function checkLaws<S>(lattice: TestLattice<S>): void {
  describe(`${lattice.name}: laws`, () => {
    for (const [name, law] of Object.entries(laws(lattice))) {
      it(name, () => fc.assert(law, { numRuns: RUNS }));
    }
  });
}
checkLaws(counterLattice);
checkLaws(setLattice);
checkLaws(registerLattice);
checkLaws(opLattice);
checkLaws(mapTestLattice);
checkLaws(flagTestLattice);
checkLaws(patchTestLattice);

describe('canonical encoding', () => {
  const lattices = [
    { lattice: counterLattice, decode: codec.decodeCounter },
    { lattice: setLattice, decode: codec.decodeSet },
    { lattice: registerLattice, decode: codec.decodeRegister },
    { lattice: mapTestLattice, decode: decodeMap },
    { lattice: flagTestLattice, decode: decodeFlag },
    { lattice: patchTestLattice, decode: decodePatch },
  ] as const;
  for (const { lattice, decode } of lattices) {
    it(`${lattice.name}: reads back to the same bytes`, () => {
      const typed = lattice as TestLattice<unknown>;
      fc.assert(
        fc.property(steps, (history) => {
          const bytes = typed.encode(play(typed, history).states[0]);
          return Buffer.compare(typed.encode(decode(bytes)), bytes) === 0;
        }),
        { numRuns: RUNS },
      );
    });
    it(`${lattice.name}: refuses damaged bytes, or reads something, but never breaks`, () => {
      const typed = lattice as TestLattice<unknown>;
      fc.assert(
        fc.property(steps, fc.nat(), fc.nat(255), (history, where, byte) => {
          const bytes = typed.encode(play(typed, history).states[0]);
          bytes[where % bytes.length] = byte;
          try {
            decode(bytes);
          } catch (error) {
            return /^(storage_damaged|too_deep)$/.test((error as { code?: string }).code ?? '');
          }
          return true;
        }),
        { numRuns: RUNS },
      );
    });
  }
});

describe('the laws find planted bugs', () => {
  function finds<S>(bug: string, broken: TestLattice<S>): void {
    it(bug, () => {
      const failed = Object.values(laws(broken)).some(
        (law) => fc.check(law, { numRuns: 3000 }).failed,
      );
      assert.ok(failed, 'no law noticed');
    });
  }
  finds<CounterState>('a counter whose join adds', {
    ...counterLattice,
    join(a, b) {
      const joined = joinCounters(a, b);
      for (const [key, mine] of a.entries) {
        const theirs = b.entries.get(key);
        if (theirs) joined.entries.set(key, { ...mine, net: mine.net + theirs.net });
      }
      return joined;
    },
  });
  finds<CounterState>('a counter whose join lets the left side win', {
    ...counterLattice,
    join: (a, b) => ({ ...joinCounters(a, b), entries: new Map([...b.entries, ...a.entries]) }),
  });
  finds<CounterState>('a decomposition that forgets resets', {
    ...counterLattice,
    *decompose(state) {
      for (const part of counterLattice.decompose(state)) {
        if (![...part.entries.values()].some((entry) => entry.resetSeq > 0)) yield part;
      }
    },
  });
  finds<CounterState>('a decomposition with a part to spare', {
    ...counterLattice,
    *decompose(state) {
      yield* counterLattice.decompose(state);
      yield state;
    },
  });
  finds<OrSetState>('a set whose join forgets the context', {
    ...setLattice,
    join: (a, b) => ({ ...joinSets(a, b), context: new Map(a.context) }),
  });
  finds<OrSetState>('a set whose join is a union', {
    ...setLattice,
    join: (a, b) => ({
      ...joinSets(a, b),
      elements: new Map([...a.elements, ...b.elements]),
    }),
  });
  finds<OrSetState>('a set whose digest depends on the order of its elements', {
    ...setLattice,
    digest: (state) => codec.recordDigest(Buffer.from([...state.elements.keys()].join())),
  });
  finds<RegisterState>('a register that drops losers at once', {
    ...registerLattice,
    join(a, b) {
      const joined = joinRegisters(a, b);
      const winner = readRegister(joined);
      return { ...joined, versions: winner ? [winner] : [] };
    },
  });
  it('none where there is none', () => {
    assert.ok(same(setLattice, setLattice.empty(), setLattice.empty()));
  });
});
