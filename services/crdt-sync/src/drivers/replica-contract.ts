import assert from 'node:assert/strict';
import { it } from 'node:test';
import { joinAll } from '../domain/join-all.ts';
import type { LocalCommit } from '../domain/local-commit.ts';
import type { KeptType, Ref } from '../domain/port.ts';
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
