import assert from 'node:assert/strict';
import { it } from 'node:test';
import {
  castVote,
  elementHash,
  emptySet,
  type FlagState,
  flagLattice,
  join,
  mapFields,
  type OrMapState,
} from '@memplane/crdt';
import type { CommandType } from '../domain/command.ts';
import { dispatch } from '../domain/dispatch.ts';
import { joinAll, joinNamed } from '../domain/join-all.ts';
import type { LocalCommit } from '../domain/local-commit.ts';
import type { KeptType, Ref } from '../domain/port.ts';
import { WholePieces } from '../domain/set-pieces.ts';
import { type ReplicaOptions, rangesOf, sent, TestReplica } from '../domain/test-replica.ts';
import { MemoryStore } from './test-memory-store.ts';

/** A place for one replica, which can be started again as after an end without warning. */
export interface ReplicaHarness {
  start(options: Omit<ReplicaOptions, 'store'>): Promise<TestReplica>;
  /** Changes a stored value by hand, while it is no more read from memory. */
  damage(type: KeptType, ref: Ref): Promise<void>;
  cleanUp(): Promise<void>;
}

const NOW = 1_790_000_000_000;
const newIncarnation = () => crypto.randomUUID().replaceAll('-', '');
const ref = (name: string): Ref => ({ tenant: 'default', name });

/** What a replica must do on every driver. */
export function replicaContract(newHarness: () => Promise<ReplicaHarness>): void {
  const check: Check = (what, work) =>
    void it(what, async () => {
      const harness = await newHarness();
      try {
        await work(harness);
      } finally {
        await harness.cleanUp();
      }
    });
  vectorCases(check);
  flagCases(check);
  mapCases(check);
  discardCases(check);
  pieceCases(check);
}

type Check = (what: string, work: (harness: ReplicaHarness) => Promise<void>) => void;

function options(id = 'r', told: (commit: LocalCommit) => void = () => {}) {
  return { id, now: () => NOW, newIncarnation, told };
}

/** Another replica, with what it has committed. */
async function other() {
  const commits: LocalCommit[] = [];
  const told = (commit: LocalCommit) => commits.push({ ...commit, delta: sent([commit.delta]) });
  const store = new MemoryStore();
  const replica = await TestReplica.start({ ...options('o', told), store });
  const delta = () => sent(commits.map((commit) => commit.delta));
  return { replica, delta, ranges: () => rangesOf(commits) };
}

function vectorCases(check: Check): void {
  check('knows what a delta brought as soon as that is there', async (harness) => {
    const from = await other();
    await from.replica.ask({ type: 'increment', name: 'a', by: 1 });
    await from.replica.ask({ type: 'set-add', name: 'b', elements: ['x', 'y'] });
    const replica = await harness.start(options());
    await joinAll(replica.engine, from.delta(), from.ranges());
    // It ended before it could take note.
    const { executor } = await harness.start(options());
    assert.equal(executor.known.get(from.replica.executor.incarnation), 2);
  });

  check('does not know of a delta of which a part was refused', async (harness) => {
    const from = await other();
    for (const name of ['a', 'b']) await from.replica.ask({ type: 'increment', name, by: 1 });
    const first = await harness.start(options());
    await first.ask({ type: 'increment', name: 'a', by: 5 });
    await harness.damage('counter', ref('a'));
    const replica = await harness.start(options());
    const join = joinAll(replica.engine, from.delta(), from.ranges());
    await assert.rejects(join, { code: 'storage_damaged' });
    const again = await harness.start(options());
    assert.equal(again.executor.known.get(from.replica.executor.incarnation), undefined);
    assert.equal((await again.ask({ type: 'counter-get', name: 'b' })).outcome.number, 1);
  });
}

function flagCases(check: Check): void {
  check('votes once, tells its vote, and takes those of others', async (harness) => {
    const told: LocalCommit[] = [];
    const replica = await harness.start(options('r', (commit) => told.push(commit)));
    const vote = { type: 'flag-vote', name: 'f', version: 2 ** 40 } as const;
    const numbers = [(await replica.ask(vote)).outcome.number, (await replica.ask(vote)).outcome];
    assert.equal(numbers[0], 1);
    assert.deepEqual(numbers[1], { number: 0, flag: false, value: castVote(2 ** 40, 'r') });
    const key = 'default/f';
    assert.deepEqual(sent(told.map(({ delta }) => delta)).flags.get(key), castVote(2 ** 40, 'r'));
    const from = await other();
    await from.replica.ask({ ...vote, version: 7 });
    await from.replica.ask(vote);
    await joinAll(replica.engine, from.delta(), from.ranges());
    const again = await harness.start(options());
    const { outcome } = await again.ask({ type: 'flag-get', name: 'f' });
    const votes = [castVote(2 ** 40, 'o'), castVote(7, 'o')];
    const all = votes.reduce((a, b) => join(flagLattice, a, b), castVote(2 ** 40, 'r'));
    assert.deepEqual(sortedVotes(outcome.value as FlagState), sortedVotes(all));
    const [mine] = await again.options.store.digests({ after: undefined, limit: 1 });
    const same = await harness.start(options());
    await joinAll(same.engine, from.delta(), from.ranges());
    const [unchanged] = await same.options.store.digests({ after: undefined, limit: 1 });
    assert.deepEqual(unchanged, mine);
  });
}

function mapCases(check: Check): void {
  const path = ['in', 'f'];
  const [sum, tags] = [{ type: 'counter', path } as const, { type: 'set', path } as const];
  const fieldsOf = async (replica: TestReplica) => {
    const { outcome } = await replica.ask({ type: 'map-get', name: 'm' });
    return mapFields(outcome.value as OrMapState);
  };

  check('keeps, tells and joins maps, and forgets what a removal has seen', async (harness) => {
    const told: LocalCommit[] = [];
    const replica = await harness.start(options('r', (commit) => told.push(commit)));
    const from = await other();
    await from.replica.ask({ type: 'map-increment', name: 'm', by: 5, place: sum });
    await joinAll(replica.engine, from.delta(), from.ranges());
    const added = await replica.ask({ type: 'map-increment', name: 'm', by: -2, place: sum });
    assert.equal(added.outcome.number, 3);
    await replica.ask({ type: 'map-add', name: 'm', place: { ...tags, element: 'x' } });
    // The other removes all of the map within, and has not seen what was done here.
    const removal = {
      type: 'map-remove',
      name: 'm',
      place: { type: 'map', path: ['in'] },
    } as const;
    assert.equal((await from.replica.ask(removal)).outcome.number, 1);
    await joinAll(replica.engine, from.delta(), from.ranges());
    const again = await harness.start(options('r', (commit) => told.push(commit)));
    const survives = [
      { type: 'counter', path, value: -2n },
      { type: 'set', path, elements: ['x'] },
    ];
    assert.deepEqual(await fieldsOf(again), survives);
    const commits = told.map(({ delta }) => delta);
    await joinAll(from.replica.engine, sent(commits), rangesOf(told));
    assert.deepEqual(await fieldsOf(from.replica), survives);
    assert.deepEqual(await again.digests(), await from.replica.digests());
  });

  check(
    'refuses a map under the name of another type, and what makes it too large',
    async (harness) => {
      const replica = await harness.start(options());
      await replica.ask({ type: 'increment', name: 'n', by: 1 });
      const wrong = await replica.ask({ type: 'map-increment', name: 'n', by: 1, place: sum });
      assert.equal(wrong.error?.code, 'wrong_type');
      const write = { type: 'map-write', name: 'm', place: { type: 'register', path } } as const;
      const large = await replica.ask({ ...write, value: 'x'.repeat(30_000) });
      assert.equal(large.error?.code, 'body_too_large');
      assert.deepEqual(await fieldsOf(replica), []);
      await replica.ask({ ...write, value: 'x'.repeat(15_000) });
      const beside = await replica.ask({
        ...write,
        place: { type: 'register', path: ['g'] },
        value: 'x'.repeat(6_000),
      });
      assert.equal(beside.error?.code, 'body_too_large');
      assert.equal((await replica.ask({ type: 'reset-any', name: 'm' })).outcome.number, 1);
      assert.deepEqual(await fieldsOf(replica), []);
      const overflow = {
        type: 'map-increment',
        name: 'm',
        by: Number.MAX_SAFE_INTEGER,
        place: sum,
      } as const;
      assert.equal((await replica.ask(overflow)).error, undefined);
      assert.equal((await replica.ask({ ...overflow, by: 1 })).error?.code, 'counter_overflow');
    },
  );
}

function sortedVotes({ floor, votes }: FlagState) {
  const entries = [...votes].map(([version, voters]) => [version, [...voters].sort()] as const);
  return [floor, entries.sort((a, b) => a[0] - b[0])];
}

function discardCases(check: Check): void {
  const types = {
    counter: 'counter-get',
    set: 'set-get',
    register: 'register-get',
    map: 'map-get',
  } as const;
  check('refuses what is damaged, until it is dropped and joined anew', async (harness) => {
    const first = await harness.start(options());
    await first.ask({ type: 'increment', name: 'counter', by: 5 });
    await first.ask({ type: 'set-add', name: 'set', elements: ['x', 'y'] });
    await first.ask({ type: 'register-put', name: 'register', value: 'a value' });
    const place = { type: 'counter', path: ['f'] } as const;
    await first.ask({ type: 'map-increment', name: 'map', by: 2, place });
    const from = await other();
    for (const name of Object.keys(types)) {
      const { set, ...rest } = await first.options.store.state(ref(name));
      await joinNamed(from.replica.engine, ref(name), { ...rest, set: set && { whole: set } });
    }
    for (const type of Object.keys(types)) await harness.damage(type as KeptType, ref(type));
    const replica = await harness.start(options());
    const before = replica.executor.incarnation;
    for (const [type, read] of Object.entries(types) as [keyof typeof types, CommandType][]) {
      assert.equal((await replica.ask({ type: read, name: type })).error?.code, 'storage_damaged');
      await dispatch(replica.engine, 'discard', ref(type), (command) => {
        command.discards = type;
      });
      const { set, ...rest } = await from.replica.options.store.state(ref(type));
      const delta = { ...rest, set: set && { whole: set } };
      assert.equal(await joinNamed(replica.engine, ref(type), delta), true);
    }
    assert.notEqual(replica.executor.incarnation, before);
    assert.deepEqual(await replica.digests(), await from.replica.digests());
    await replica.ask({ type: 'increment', name: 'counter', by: 1 });
    assert.equal((await replica.ask({ type: 'counter-get', name: 'counter' })).outcome.number, 6);
  });
}

function pieceCases(check: Check): void {
  const some = (from: number, count: number) =>
    Array.from({ length: count }, (_, index) => `element ${(from + index) % 900}`);

  check('gives the pieces of a set, large or small, whatever was done to it', async (harness) => {
    const replica = await harness.start(options());
    const steps: [CommandType, string[]][] = [
      ['set-add', some(0, 3)],
      ['set-add', some(0, 400)],
      ['set-add', some(390, 200)],
      ['set-remove', some(300, 100)],
      ['set-reset', []],
      ['set-add', some(700, 500)],
    ];
    await expectPieces(replica);
    for (const [type, elements] of steps) {
      const done = await replica.ask({ type, name: 's', elements });
      assert.equal(done.error, undefined);
      await expectPieces(replica);
    }
    await expectPieces(await harness.start(options()));
  });

  check('gives no pieces of a set that is damaged', async (harness) => {
    const first = await harness.start(options());
    await first.ask({ type: 'set-add', name: 's', elements: some(0, 400) });
    await first.options.store.pieces.digests(ref('s'), ['']);
    await harness.damage('set', ref('s'));
    const { pieces } = first.options.store;
    await assert.rejects(pieces.digests(ref('s'), ['']), { code: 'storage_damaged' });
    await assert.rejects(pieces.below(ref('s'), [''], 10), { code: 'storage_damaged' });
    await first.options.store.discard('set', ref('s'));
    const { summaries = [] } = (await pieces.digests(ref('s'), [''])) ?? {};
    assert.equal(summaries[0]?.children.size, 0);
  });
}

/** By prefixes of some lengths, against those of the whole set. */
async function expectPieces({ options: { store } }: TestReplica): Promise<void> {
  const { set = emptySet() } = await store.state(ref('s'));
  const whole = new WholePieces(set);
  const [element = 'none'] = set.elements.keys();
  const hash = elementHash(element);
  const prefixes = ['', hash.slice(0, 1), hash.slice(0, 3), hash.slice(0, 5), hash];
  const asked = prefixes.slice(0, -1);
  assert.deepEqual(await store.pieces.digests(ref('s'), asked), whole.digests(asked));
  for (const max of [1, 50, 10_000]) {
    const found = await store.pieces.below(ref('s'), prefixes.slice(1), max);
    assert.deepEqual(found, whole.below(prefixes.slice(1), max));
  }
}
