import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { HybridClock, hlcToMs } from '@memplane/clock';
import { emptyCounter, emptyRegister, writeRegister } from '@memplane/crdt';
import { CheckedStore } from '../drivers/test-checked-store.ts';
import type { Command } from './command.ts';
import { joinAll, joinNamed } from './join-all.ts';
import type { LocalCommit } from './local-commit.ts';
import { joinCommand } from './named-delta.ts';
import type { Commit, Ref } from './port.ts';
import { sent, TestReplica } from './test-replica.ts';
import { waitUntilCovered } from './vector-wait.ts';

const NOW = 1_790_000_000_000;
const ref = (name: string): Ref => ({ tenant: 'default', name });

class CommitStore extends CheckedStore {
  readonly commits: Commit[] = [];

  override async commit(commit: Commit): Promise<void> {
    await super.commit(commit);
    this.commits.push(commit);
  }
}

let incarnations = 0;

async function replicaOf(id: string, now = () => NOW, store = new CommitStore()) {
  const told: LocalCommit[] = [];
  const newIncarnation = () => (++incarnations).toString(16).padStart(32, id);
  const replica = await TestReplica.start({
    ...{ id, store, now, newIncarnation },
    told: (commit) => told.push(commit),
  });
  return { replica, store, told };
}

describe('local commits', () => {
  it('are told once durable and before their commands are settled, each with its number', async () => {
    const { replica, store, told } = await replicaOf('a');
    const order: unknown[] = [];
    replica.executor.onCommit = ({ number }) => order.push([number, store.commits.length]);
    const first = replica.ask({ type: 'increment', name: 'a', by: 2 }).then(() => order.push('a'));
    await Promise.all([first, replica.ask({ type: 'set-add', name: 's', elements: ['x'] })]);
    replica.executor.onCommit = (commit) => told.push(commit);
    await replica.ask({ type: 'increment', name: 'a', by: 2, opId: 'op' });
    assert.deepEqual(order, [[1, 1], 'a']);
    const [commit] = told;
    assert.ok(commit);
    assert.deepEqual([commit.number, commit.incarnation], [2, replica.engine.incarnation]);
    assert.deepEqual([...commit.delta.counters.keys()], ['default/a']);
    assert.deepEqual([...(commit.delta.counters.get('default/a')?.claims?.keys() ?? [])], ['op']);
    assert.equal(commit.delta.sets.size, 0);
  });

  it('name only the elements that were touched, and what a reset has seen', async () => {
    const { replica, told } = await replicaOf('a');
    await replica.ask({ type: 'set-add', name: 's', elements: ['x', 'y', 'z'] });
    await replica.ask({ type: 'set-remove', name: 's', elements: ['y', 'nobody'] });
    await Promise.all([
      replica.ask({ type: 'set-add', name: 's', elements: ['w'] }),
      replica.ask({ type: 'set-reset', name: 's' }),
      replica.ask({ type: 'set-add', name: 's', elements: ['x'] }),
    ]);
    const { incarnation } = replica.engine;
    const dot = (seq: number) => ({ incarnation, seq });
    const seen = (from: number, to: number) => new Map([[incarnation, [from, to]]]);
    assert.deepEqual(
      told.slice(1).map(({ delta }) => delta.sets.get('default/s')),
      [
        { patch: new Map([['y', { dots: [], context: seen(2, 2) }]]), cleared: new Map() },
        {
          patch: new Map([['x', { dots: [dot(5)], context: seen(5, 5) }]]),
          cleared: seen(1, 4),
        },
      ],
    );
  });

  it('are apart from reads, refusals, probes and joins, which have no number', async () => {
    const [a, b] = [await replicaOf('a'), await replicaOf('b')];
    await a.replica.ask({ type: 'increment', name: 'a', by: 2 });
    await a.replica.ask({ type: 'counter-get', name: 'a' });
    await a.replica.ask({ type: 'set-add', name: 'a', elements: ['x'] });
    await a.replica.ask({ type: 'probe', name: '' });
    const delta = sent(a.told.map((commit) => commit.delta));
    const before = b.replica.ask({ type: 'increment', name: 'b', by: 1 });
    const joins = Promise.all([joinAll(b.replica.engine, delta), joinAll(b.replica.engine, delta)]);
    const after = b.replica.ask({ type: 'increment', name: 'a', by: 1 });
    assert.equal((await after).outcome.number, 3);
    await Promise.all([before, joins]);
    const numbers = ({ commits }: CommitStore) => commits.map(({ number }) => number);
    assert.deepEqual([numbers(a.store), numbers(b.store)], [[1], [1, undefined, 2]]);
    assert.deepEqual([a.told.length, b.told.length], [1, 2]);
  });
});

describe('a join', () => {
  it('says whether anything grew, and writes nothing where nothing did', async () => {
    const [a, b] = [await replicaOf('a'), await replicaOf('b')];
    await Promise.all([
      a.replica.ask({ type: 'increment', name: 'c', by: 2, opId: 'one' }),
      a.replica.ask({ type: 'set-add', name: 's', elements: ['x'] }),
      a.replica.ask({ type: 'register-put', name: 'r', value: 1 }),
    ]);
    const delta = sent(a.told.map((commit) => commit.delta));
    const counter = delta.counters.get('default/c') ?? emptyCounter();
    const parts = [
      [ref('c'), { counter: { ...counter, claims: undefined } }],
      [ref('c'), { counter: { ...emptyCounter(), claims: counter.claims } }],
      [ref('s'), { set: delta.sets.get('default/s') }],
      [ref('r'), { register: delta.registers.get('default/r') }],
    ] as const;
    for (const expected of [true, false]) {
      for (const [name, part] of parts) {
        assert.equal(await joinNamed(b.replica.engine, name, part), expected);
      }
    }
    assert.equal(b.store.commits.length, 4);
    assert.deepEqual(await b.replica.digests(), await a.replica.digests());
    const again = await b.replica.ask({ type: 'increment', name: 'c', by: 2, opId: 'one' });
    assert.deepEqual([again.outcome.flag, again.outcome.number], [true, 2]);
  });

  it('of a reset takes away what that has seen, however many elements there are', async () => {
    const [a, b] = [await replicaOf('a'), await replicaOf('b')];
    const many = Array.from({ length: 2_500 }, (_, index) => `e${index}`);
    await a.replica.ask({ type: 'set-add', name: 's', elements: many });
    await b.replica.receive(a.told);
    await b.replica.ask({ type: 'set-add', name: 's', elements: ['own', 'e7'] });
    await a.replica.ask({ type: 'set-reset', name: 's' });
    await a.replica.ask({ type: 'set-add', name: 's', elements: ['new', 'e9'] });
    await b.replica.receive(a.told.slice(1));
    await a.replica.receive(b.told);
    const shown = (await b.replica.read('s')) as { elements: string[] };
    assert.deepEqual(shown.elements, ['e7', 'e9', 'new', 'own']);
    assert.deepEqual(await a.replica.digests(), await b.replica.digests());
  });

  it('of whole states makes replicas equal that were told nothing', async () => {
    const [a, b] = [await replicaOf('a'), await replicaOf('b')];
    await a.replica.ask({ type: 'set-add', name: 'n', elements: ['x', 'y', 'z'] });
    await b.replica.receive(a.told);
    await a.replica.ask({ type: 'set-remove', name: 'n', elements: ['x'] });
    await a.replica.ask({ type: 'set-add', name: 'n', elements: ['y', 'only a'] });
    await b.replica.ask({ type: 'set-add', name: 'n', elements: ['x', 'only b'] });
    await b.replica.ask({ type: 'set-remove', name: 'n', elements: ['z'] });
    await b.replica.ask({ type: 'reset-any', name: 'n' });
    await b.replica.ask({ type: 'increment', name: 'n', by: 3, opId: 'one' });
    for (const [from, to] of [
      [a, b],
      [b, a],
      [a, b],
    ] as const) {
      const { set, ...rest } = await from.store.state(ref('n'));
      await joinNamed(to.replica.engine, ref('n'), { ...rest, set: set && { whole: set } });
    }
    assert.deepEqual(await a.replica.digests(), await b.replica.digests());
    assert.deepEqual(await a.replica.read('n'), await b.replica.read('n'));
    const shown = (await a.replica.read('n')) as { elements: string[] };
    assert.deepEqual(shown.elements, ['only a', 'y']);
  });

  it('is refused by no bound and no other type; the counter is seen until it is reset', async () => {
    const [a, b] = [await replicaOf('a'), await replicaOf('b')];
    const many = (from: number) => Array.from({ length: 9_000 }, (_, index) => `e${from + index}`);
    await a.replica.ask({ type: 'set-add', name: 'n', elements: many(0) });
    await b.replica.ask({ type: 'set-add', name: 'm', elements: ['x'] });
    await b.replica.ask({ type: 'increment', name: 'n', by: 3 });
    await b.replica.receive(a.told);
    await a.replica.receive(b.told);
    assert.equal((await a.replica.ask({ type: 'counter-get', name: 'n' })).outcome.number, 3);
    const refused = await a.replica.ask({ type: 'set-add', name: 'n', elements: ['x'] });
    assert.equal(refused.error?.code, 'wrong_type');
    await b.replica.ask({ type: 'counter-reset', name: 'n' });
    assert.equal((await b.replica.ask({ type: 'set-get', name: 'n' })).outcome.number, 9_000);
    const more = await replicaOf('c');
    await more.replica.ask({ type: 'set-add', name: 'n', elements: many(9_000) });
    await b.replica.receive(more.told);
    assert.equal((await b.replica.ask({ type: 'set-get', name: 'n' })).outcome.number, 18_000);
  });

  it('of a stamp that is ahead is passed by later writes, over a crash too', async () => {
    const [a, b] = [await replicaOf('a', () => NOW + 30_000), await replicaOf('b')];
    await a.replica.ask({ type: 'register-put', name: 'r', value: 'ahead' });
    await b.replica.receive(a.told);
    const { replica } = await replicaOf('b', () => NOW, b.store);
    const put = await replica.ask({ type: 'register-put', name: 'r', value: 'later' });
    assert.equal((put.outcome.value as { value: string }).value, 'later');
  });

  it('takes a stamp that is too far ahead, and does not follow it', async () => {
    const { replica, told } = await replicaOf('b');
    const clock = new HybridClock({ now: () => NOW + 3_600_000, driftMaxMs: 0 });
    const write = { incarnation: 'e'.repeat(32), hlc: clock.tick(), replica: 'e', value: 'far' };
    const register = writeRegister(emptyRegister(), write);
    assert.equal(await joinNamed(replica.engine, ref('r'), { register }), true);
    await replica.ask({ type: 'increment', name: 'a', by: 1, opId: 'one' });
    const used = told[0]?.delta.counters.get('default/a')?.claims?.get('one');
    assert.equal(hlcToMs(used?.hlc ?? 0n), NOW);
  });

  it('rejects with what a name met, once nothing of it is under way', async () => {
    const { replica } = await replicaOf('b');
    const drained = replica.engine.drain();
    const delta = sent([]);
    delta.counters.set('default/a', { ...emptyCounter(), kind: 'pn' });
    await assert.rejects(joinAll(replica.engine, delta), { code: 'shutting_down' });
    delta.counters.set('no slash', { ...emptyCounter(), kind: 'pn' });
    await assert.rejects(joinAll(replica.engine, delta), { code: 'invalid_request' });
    await drained;
  });

  it('is one command a name, with the elements that it needs', () => {
    const patch = new Map([['x', { dots: [], context: new Map() }]]);
    const settled = (_: Command) => {};
    const command = joinCommand(ref('n'), { set: { patch, cleared: new Map() } }, settled);
    assert.deepEqual([command.type, command.elements], ['join', ['x']]);
  });
});

describe('the known vector', () => {
  const [other, third] = ['d'.repeat(32), 'e'.repeat(32)];
  const range = (incarnation: string, after: number, upTo: number) => ({
    incarnation,
    after,
    upTo,
  });

  it('only rises, leaves no gap, and has the current incarnation of this replica', async () => {
    const { replica } = await replicaOf('a');
    const { executor } = replica;
    executor.advance([range(other, 0, 3), range(third, 1, 4), range(other, 5, 6)]);
    executor.advance([range(other, 0, 2), range(other, 1, 5), range(executor.incarnation, 0, 9)]);
    await replica.ask({ type: 'increment', name: 'a', by: 1 });
    const known = new Map([
      [other, 5],
      [executor.incarnation, 1],
    ]);
    assert.deepEqual(new Map(executor.known), known);
    assert.deepEqual(await replica.engine.commitVector(), known);
    assert.deepEqual(
      [...(await replica.engine.commitVector()).keys()].at(-1),
      executor.incarnation,
    );
  });

  it('is durable with the next commit, or at a clean end; else it lags', async () => {
    const { replica, store } = await replicaOf('a');
    replica.executor.advance([range(other, 0, 3)]);
    assert.equal(
      (await replicaOf('a', () => NOW, store)).replica.executor.known.get(other),
      undefined,
    );
    await replica.ask({ type: 'increment', name: 'a', by: 1 });
    assert.equal((await replicaOf('a', () => NOW, store)).replica.executor.known.get(other), 3);
    replica.executor.advance([range(other, 3, 4)]);
    await replica.engine.drain();
    await replica.engine.flush();
    const commits = store.commits.length;
    await replica.engine.flush();
    assert.equal(store.commits.length, commits, 'nothing is written twice');
    const again = (await replicaOf('a', () => NOW, store)).replica.executor;
    assert.equal(again.known.get(other), 4);
    assert.equal(again.known.get(replica.executor.incarnation), 1, 'what it was itself before');
  });

  it('is written again where a commit failed', async () => {
    let fail: (() => void) | undefined = () => {
      replica.executor.advance([range(other, 3, 4)]);
      throw new Error('a disk');
    };
    class FailingStore extends CommitStore {
      override async commit(commit: Commit): Promise<void> {
        fail?.();
        await super.commit(commit);
      }
    }
    const { replica, store, told } = await replicaOf('a', () => NOW, new FailingStore());
    replica.executor.advance([range(other, 0, 3), range(third, 0, 1)]);
    const failed = await replica.ask({ type: 'increment', name: 'a', by: 1 });
    assert.equal(failed.error?.code, 'internal');
    fail = undefined;
    await replica.ask({ type: 'increment', name: 'a', by: 1 });
    assert.deepEqual(
      store.commits[0]?.known,
      new Map([
        [other, 4],
        [third, 1],
      ]),
    );
    assert.deepEqual(
      told.map(({ number }) => number),
      [1],
    );
  });

  it('wakes who waits for a token, as soon as it is covered', async () => {
    const { replica } = await replicaOf('a');
    const wait = (signal: AbortSignal) =>
      waitUntilCovered(replica.engine, new Map([[other, 2]]), signal);
    const end = new AbortController();
    const [first, second] = [wait(end.signal), wait(AbortSignal.timeout(50_000))];
    replica.executor.advance([range(other, 0, 1)]);
    end.abort();
    assert.equal(await first, false);
    replica.executor.advance([range(other, 1, 2)]);
    assert.equal(await second, true);
    assert.equal(await wait(end.signal), true);
  });
});
