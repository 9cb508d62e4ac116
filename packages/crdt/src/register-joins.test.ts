import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Seeded, testSeed } from '@memplane/testkit';
import { encodeRegister } from './codec.ts';
import { cloneContext, containsDot, joinContextInto } from './context.ts';
import { compareDots, hasDot } from './dot.ts';
import {
  cloneRegister,
  emptyRegister,
  joinRegisterInto,
  type RegisterState,
  registerOf,
  resetRegister,
  writeRegister,
} from './lww-register.ts';

const TRACES = 300;
const STEPS = 60;
const REPLICAS = 3;

/** What a join is by its definition, whatever the form of the states. */
function joinByDots(a: RegisterState, b: RegisterState): RegisterState {
  const dotsOf = ({ versions }: RegisterState) => versions.map(({ dot }) => dot);
  const stays = (mine: RegisterState, other: RegisterState) =>
    mine.versions.filter(
      ({ dot }) => hasDot(dotsOf(other), dot) || !containsDot(other.context, dot),
    );
  const fresh = stays(b, a).filter(({ dot }) => !hasDot(dotsOf(a), dot));
  const versions = [...stays(a, b), ...fresh].sort((x, y) => compareDots(x.dot, y.dot));
  const context = cloneContext(a.context);
  joinContextInto(context, b.context);
  return registerOf(versions, context);
}

const hex = (state: RegisterState) => Buffer.from(encodeRegister(state)).toString('hex');

interface Pair {
  readonly ours: RegisterState;
  byDots: RegisterState;
}

/** How often states of either form met, as `into form of target, form of source`. */
type Meetings = Record<string, number>;

function joinBoth(target: Pair, source: RegisterState, meetings: Meetings): void {
  const before = hex(target.ours);
  const form = ({ loose }: RegisterState) => (loose === undefined ? 'marks' : 'loose');
  const meeting = `${form(target.ours)}, ${form(source)}`;
  meetings[meeting] = (meetings[meeting] ?? 0) + 1;
  const given = hex(source);
  const grew = joinRegisterInto(target.ours, source);
  target.byDots = joinByDots(target.byDots, source);
  assert.equal(hex(target.ours), hex(target.byDots), meeting);
  assert.deepEqual(target.ours, target.byDots, 'the form is not the one that the state has');
  assert.equal(grew, hex(target.ours) !== before, 'says whether it grew');
  assert.equal(hex(source), given, 'the source stays as it was');
}

/** Replicas that restart, whose clocks go back now and then, and whose deltas may be lost. */
function playTrace(random: Seeded, meetings: Meetings): void {
  const empty = (): Pair => ({ ours: emptyRegister(), byDots: emptyRegister() });
  const replicas = Array.from({ length: REPLICAS }, empty);
  const starts = new Array<number>(REPLICAS).fill(0);
  const deltas: RegisterState[] = [];
  const group = emptyRegister();
  for (let step = 1; step <= STEPS; step++) {
    const at = random.int(0, REPLICAS - 1);
    const mine = replicas[at] as Pair;
    if (random.chance(0.1)) starts[at] = (starts[at] ?? 0) + 1;
    if (random.chance(0.5)) {
      const incarnation = `${at}${starts[at]}`.padEnd(32, '0');
      const hlc = BigInt(random.chance(0.1) ? random.int(1, step) : step);
      const write = { incarnation, hlc, replica: `r${at}`, value: step };
      const isReset = random.chance(0.2);
      const delta = isReset ? resetRegister(mine.ours) : writeRegister(mine.ours, write);
      joinBoth(mine, delta, meetings);
      deltas.push(delta);
      joinRegisterInto(group, delta);
    } else if (random.chance(0.3)) {
      joinBoth(mine, cloneRegister((replicas[random.int(0, REPLICAS - 1)] as Pair).ours), meetings);
    } else if (deltas.length > 0) {
      joinBoth(mine, random.chance(0.1) ? cloneRegister(group) : random.pick(deltas), meetings);
    }
  }
  for (const { ours } of replicas) joinRegisterInto((replicas[0] as Pair).ours, ours);
}

describe('joins of registers', () => {
  it('are those of dots and causal contexts, in whatever form', () => {
    const random = testSeed('joins of registers');
    const meetings: Meetings = {};
    for (let trace = 0; trace < TRACES; trace++) playTrace(random.fork(trace), meetings);
    const kinds = ['marks, marks', 'marks, loose', 'loose, marks', 'loose, loose'];
    for (const kind of kinds) assert.ok((meetings[kind] ?? 0) > TRACES, JSON.stringify(meetings));
  });
});
