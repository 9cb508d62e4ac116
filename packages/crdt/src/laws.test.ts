import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import * as codec from './codec.ts';
import { foundContested } from './contested.ts';
import { cloneContext } from './context.ts';
import { type CounterState, emptyCounter, increment, joinCounters, ownSum } from './counter.ts';
import { decodeClaimedCounter } from './counter-codec.ts';
import { joinRegisters, type RegisterState, readRegister, registerOf } from './lww-register.ts';
import { type Claim, compareClaims } from './op-claims.ts';
import { decodeMap } from './or-map-codec.ts';
import { joinSets, type OrSetState } from './or-set.ts';
import { decodePatch } from './piece-codec.ts';
import { decodeFlag } from './quorum-flag-codec.ts';
import {
  claimedCounterLattice,
  counterLattice,
  flagTestLattice,
  mapTestLattice,
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
checkLaws(claimedCounterLattice);
checkLaws(mapTestLattice);
checkLaws(flagTestLattice);
checkLaws(patchTestLattice);

describe('canonical encoding', () => {
  const lattices = [
    { lattice: counterLattice, decode: codec.decodeCounter },
    { lattice: claimedCounterLattice, decode: decodeClaimedCounter },
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

describe('counters with claims', () => {
  /** What an operation id's claims come to, without any join: the least that is here, unless reset. */
  function expectedSum(
    { seen, deltas }: ReturnType<typeof play<CounterState>>,
    at: number,
  ): bigint {
    const state = seen[at] ?? claimedCounterLattice.empty();
    const byId = new Map<string, Claim[]>();
    const singles: { incarnation: string; seq: number; by: bigint }[] = [];
    for (const { entries, claims } of deltas) {
      for (const [incarnation, { seq, net, resetSeq }] of entries) {
        if (resetSeq > 0 || claims !== undefined) continue;
        const before = deltas.find((it) => it.entries.get(incarnation)?.seq === seq - 1);
        const by = net - (before?.entries.get(incarnation)?.net ?? 0n);
        singles.push({ incarnation, seq, by });
      }
      for (const [opId, claim] of claims ?? []) byId.set(opId, [...(byId.get(opId) ?? []), claim]);
    }
    const isHere = ({ incarnation, seq }: { incarnation: string; seq: number }) =>
      seq <= (state.entries.get(incarnation)?.seq ?? 0);
    const counts = [...byId.values()].flatMap((claims) =>
      claims.filter(isHere).sort(compareClaims).slice(0, 1),
    );
    let sum = 0n;
    for (const one of [...singles.filter(isHere), ...counts]) {
      const isReset = one.seq <= (state.entries.get(one.incarnation)?.resetSeq ?? 0);
      if (!isReset) sum += BigInt(one.by);
    }
    return sum;
  }

  const counts = fc.property(steps, (history) => {
    const played = play(claimedCounterLattice, history);
    return played.seen.every(
      (state, at) => ownSum(state) === expectedSum(played, at) || state.parts !== undefined,
    );
  });
  it('count each operation id once', () => fc.assert(counts, { numRuns: RUNS }));

  /** Two states of one digest have one value. */
  const digestsTell = (digest: (state: CounterState) => bigint) =>
    fc.property(steps, (history) => {
      const { seen } = play(claimedCounterLattice, history);
      const sums = new Map(seen.map((state) => [digest(state), ownSum(state)]));
      return seen.every((state) => sums.get(digest(state)) === ownSum(state));
    });
  it('have a digest that tells what is contested', () => {
    fc.assert(digestsTell(codec.counterDigest), { numRuns: RUNS });
    const without = (state: CounterState) =>
      codec.counterDigest({ ...state, contested: undefined });
    // Entries that two replicas have without the claims: as where both have forgotten them.
    const forgotten = fc.property(steps, (history) => {
      const { states, seen } = play(claimedCounterLattice, history);
      const bare = states.map((state) => ({ ...state, claims: undefined, contested: undefined }));
      const pool = [...bare, ...seen];
      const sums = new Map(pool.map((state) => [without(state), ownSum(state)]));
      return pool.every((state) => sums.get(without(state)) === ownSum(state));
    });
    assert.ok(fc.check(forgotten, { numRuns: 3000 }).failed, 'the digest of no claims was enough');
  });

  it('count a claim again where the one before it is lost', () => {
    const [a, b] = ['a', 'b'].map((digit) => digit.repeat(32)) as [string, string];
    const claim = (incarnation: string, hlc: bigint) => ({
      by: 3,
      hlc,
      incarnation,
      seq: 1,
      commit: 1,
    });
    const counted = (at: string, hlc: bigint) => ({
      ...increment(emptyCounter(), at, 3n),
      claims: new Map([['op', claim(at, hlc)]]),
    });
    const [first, second] = [counted(a, 1n), counted(b, 2n)];
    const told = foundContested(first, second) ?? emptyCounter();
    assert.equal(ownSum(joinCounters(first, second)), 3n);
    // What a third replica was told, before the increments that it is about: they may never come.
    assert.equal(ownSum(joinCounters(second, told)), 3n);
    assert.equal(ownSum(joinCounters(joinCounters(second, told), first)), 3n);
    assert.equal(ownSum(told), 0n);
  });

  it('tell all that two states make of each other, and neither says', () => {
    fc.assert(
      fc.property(steps, fc.nat(), fc.nat(), (history, i, j) => {
        const { seen } = play(claimedCounterLattice, history);
        const [a, b] = [seen[i % seen.length], seen[j % seen.length]];
        if (a === undefined || b === undefined) return true;
        const found = foundContested(a, b) ?? claimedCounterLattice.empty();
        // Where the claims were forgotten, the join needs what was found.
        const bare = { ...joinCounters({ ...a, claims: undefined }, { ...b, claims: undefined }) };
        const told = codec.counterDigest(joinCounters(bare, found));
        return told === codec.counterDigest(joinCounters(a, b));
      }),
      { numRuns: RUNS },
    );
  });
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
      return registerOf(winner ? [winner] : [], cloneContext(joined.context));
    },
  });
  finds<CounterState>('claims of which the greatest stays and the least is contested', {
    ...claimedCounterLattice,
    join(a, b) {
      const joined = joinCounters(a, b);
      for (const [opId, claim] of b.claims ?? []) joined.claims?.set(opId, claim);
      return joined;
    },
  });
  finds<CounterState>('contested claims that are kept when they were reset', {
    ...claimedCounterLattice,
    join(a, b) {
      const joined = joinCounters(a, b);
      const contested = new Map([...(joined.contested ?? [])]);
      for (const [opId, claims] of [...(a.contested ?? []), ...(b.contested ?? [])]) {
        if (!contested.has(opId)) contested.set(opId, claims);
      }
      return { ...joined, contested: contested.size > 0 ? contested : undefined };
    },
  });
  it('none where there is none', () => {
    assert.ok(same(setLattice, setLattice.empty(), setLattice.empty()));
  });
});
