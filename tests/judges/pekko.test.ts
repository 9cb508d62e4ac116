import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { before, describe, it } from 'node:test';
import {
  type CounterState,
  containsDot,
  contextOf,
  type Dot,
  type OrSetState,
  type RegisterState,
} from '@memplane/crdt';
import { figure, scaled, testSeed } from '@memplane/testkit';
import * as kinds from './pekko/kinds.ts';
import { pekkoProgram } from './pekko/program.ts';
import { play, type Trace } from './pekko/trace.ts';

/**
 * The CRDTs beside those of Pekko Distributed Data (Akka's): the same histories through both, and
 * after each step the same values. What the two mean otherwise is left out in `pekko/kinds.ts`,
 * each with its reason.
 */
const HISTORIES = scaled('pekko_histories', { ci: 40, soak: 2_000 });
const OPERATIONS = scaled('pekko_operations', { ci: 80, soak: 300 });
const PLANTED_HISTORIES = 40;
const HISTORIES_A_RUN = 100;

type Player = (seed: number) => Trace;

const player =
  <S>(kind: kinds.Kind<S>): Player =>
  (seed) =>
    play(kind, seed, OPERATIONS);

const PLAYERS: Readonly<Record<string, Player>> = {
  'a G-Counter': player(kinds.gCounter),
  'a PN-Counter': player(kinds.pnCounter),
  'an OR-Set': player(kinds.orSet),
  'a last-writer-wins register': player(kinds.register),
  'a flag': player(kinds.flag),
  'a map of PN-Counters': player(kinds.counterMap),
  'a map of registers': player(kinds.registerMap),
  'a map of OR-Sets': player(kinds.setMap),
};

const seed = testSeed('pekko');
let java: string[];

before(async () => {
  java = await pekkoProgram();
});

/** Where Pekko says otherwise, in words; undefined where it never does. */
function disagreement(traces: readonly Trace[]): string | undefined {
  const input = traces.flatMap(({ steps }) => steps.map(({ line }) => line)).join('\n');
  const run = spawnSync('java', ['-XX:TieredStopAtLevel=1', '-Xmx512m', ...java], {
    input: `${input}\n`,
    encoding: 'utf8',
    maxBuffer: 1 << 30,
    timeout: 600_000,
  });
  assert.equal(run.status, 0, run.stderr);
  const answers = run.stdout.split('\n');
  let at = 0;
  for (const { name, seed: ofTrace, steps } of traces) {
    for (const [index, { value }] of steps.entries()) {
      const theirs = answers[at++];
      if (value === undefined || value === theirs) continue;
      const lines = steps.slice(0, index + 1).map(({ line }) => line);
      return `${name}, seed ${ofTrace}, step ${index}: ${value} here, ${theirs} there, after\n${lines.join('\n')}`;
    }
  }
  return undefined;
}

describe('Pekko Distributed Data', () => {
  for (const [what, one] of Object.entries(PLAYERS)) {
    it(`agrees on ${what} at every step`, () => {
      let steps = 0;
      for (let first = 0; first < HISTORIES; first += HISTORIES_A_RUN) {
        const count = Math.min(HISTORIES_A_RUN, HISTORIES - first);
        const traces = Array.from({ length: count }, (_, i) => one(seed.fork(first + i).seed));
        assert.equal(disagreement(traces), undefined);
        for (const trace of traces) steps += trace.steps.length;
      }
      figure(`pekko, ${what}: equal steps`, steps);
    });
  }

  it('notices a set in which removals win', () => {
    const removesWin: kinds.Kind<OrSetState> = {
      ...kinds.orSet,
      joinInto: (target, source) => {
        // What either has removed goes, whatever was added to it elsewhere.
        const gone = [target, source].flatMap((mine, i) => {
          const other = i === 0 ? source : target;
          const isRemoved = (dots: readonly Dot[]) =>
            dots.some((dot) => containsDot(mine.context, dot));
          return [...other.elements]
            .filter(([element, dots]) => !mine.elements.has(element) && isRemoved(dots))
            .map(([element]) => element);
        });
        kinds.orSet.joinInto(target, source);
        for (const element of gone) target.elements.delete(element);
      },
    };
    assert.match(planted(removesWin), /^orset/);
  });

  it('notices a set that forgets what was removed', () => {
    const forgets: kinds.Kind<OrSetState> = {
      ...kinds.orSet,
      joinInto: (target, source) => {
        kinds.orSet.joinInto(target, source);
        const standing = contextOf([...target.elements.values()].flat());
        target.context.clear();
        for (const entry of standing) target.context.set(...entry);
      },
    };
    assert.match(planted(forgets), /^orset/);
  });

  it('notices a counter that takes the larger sum for the later one', () => {
    const takesLarger: kinds.Kind<CounterState> = {
      ...kinds.pnCounter,
      joinInto: (target, source) => {
        const before = new Map(target.entries);
        kinds.pnCounter.joinInto(target, source);
        for (const [incarnation, entry] of target.entries) {
          const mine = before.get(incarnation)?.net ?? entry.net;
          const theirs = source.entries.get(incarnation)?.net ?? entry.net;
          target.entries.set(incarnation, { ...entry, net: mine > theirs ? mine : theirs });
        }
      },
    };
    assert.match(planted(takesLarger), /^pncounter/);
  });

  it('notices a register that settles equal stamps the other way round', () => {
    const settlesOtherwise: kinds.Kind<RegisterState> = {
      ...kinds.register,
      value: ({ versions }) => {
        const [best] = versions.toSorted(
          (a, b) => Number(b.hlc - a.hlc) || (a.replica < b.replica ? -1 : 1),
        );
        return best === undefined ? '-' : String(best.value);
      },
    };
    assert.match(planted(settlesOtherwise), /^register/);
  });
});

/** What the judge says of a bug in the part of ours. */
function planted<S>(kind: kinds.Kind<S>): string {
  const traces = Array.from({ length: PLANTED_HISTORIES }, (_, i) =>
    play(kind, seed.fork(i).seed, OPERATIONS, true),
  );
  return disagreement(traces) ?? 'nobody noticed';
}
