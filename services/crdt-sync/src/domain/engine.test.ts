import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { HybridClock } from '@memplane/clock';
import { MemplaneError } from '@memplane/contracts';
import { counterValue, emptyCounter } from '@memplane/crdt';
import fc from 'fast-check';
import { CheckedStore } from '../drivers/test-checked-store.ts';
import { Command, type CommandType } from './command.ts';
import { Engine } from './engine.ts';
import { LocalExecutor } from './local-executor.ts';
import type { Commit, CrdtStore } from './port.ts';

const ALL = { after: undefined, limit: 100 };

/** Keeps the commits too, and fails or waits when told to. */
class FailingStore extends CheckedStore {
  readonly commits: Commit[] = [];
  failing: 'before' | 'after' | undefined = undefined;
  gate: Promise<void> = Promise.resolve();

  override async commit(commit: Commit): Promise<void> {
    await this.gate;
    if (this.failing === 'before') throw new MemplaneError('storage_full', 'full');
    await super.commit(commit);
    if (this.failing === 'after') throw new MemplaneError('storage_unavailable', 'torn');
    this.commits.push(commit);
  }
}

function engineOn(store: CrdtStore, limits: Partial<{ queued: number; batch: number }> = {}) {
  let incarnations = 0;
  const toError = (cause: unknown) =>
    cause instanceof MemplaneError ? cause : new MemplaneError('internal', String(cause));
  const opIds = { now: () => 1_000, opid_memory_ms: 1_000 };
  const executor = new LocalExecutor({
    replicaId: 'r',
    store,
    clock: new HybridClock({ now: () => 1_000, driftMaxMs: 0 }),
    newIncarnation: () => (++incarnations).toString(16).padStart(32, '0'),
    incarnations: [],
    toError,
    batch_commands_max: limits.batch ?? 1_000,
    hot_bytes_max: 2_000,
    set_elements_max: 100,
    set_bytes_max: 1_000,
    map_bytes_max: 1_000,
    op_ids_per_counter_max: 100,
    contested_ids_per_counter_max: 100,
    hlc_drift_max_ms: 0,
    ...opIds,
  });
  return new Engine({
    executor,
    opIds,
    toError,
    queued_commands_max: limits.queued ?? 1_000,
    scans_max: 4,
  });
}

function ask(engine: Engine, type: CommandType, name: string, by = 0): Promise<number | string> {
  return new Promise((resolve) => {
    const command = new Command(type, 'default', name, ({ error, outcome }) => {
      resolve(error ? error.code : outcome.number);
    });
    command.by = by;
    engine.submit(command);
  });
}

describe('engine', () => {
  it('does what a plain map of numbers does, however commands share commits', async () => {
    const command = fc.record({
      name: fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f'),
      type: fc.constantFrom<CommandType[]>(
        'increment',
        'increment',
        'increment',
        'counter-get',
        'counter-reset',
      ),
      by: fc.integer({ min: -5, max: 5 }),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.array(command, { maxLength: 20 }), { maxLength: 5 }),
        fc.integer({ min: 1, max: 30 }),
        async (groups, batch) => {
          const store = new FailingStore();
          const engine = engineOn(store, { batch });
          const model = new Map<string, number>();
          for (const group of groups) {
            const expected = group.map(({ name, type, by }) => {
              const before = model.get(name);
              if (type === 'increment') model.set(name, (before ?? 0) + by);
              if (type !== 'counter-reset') return model.get(name) ?? 0;
              model.delete(name);
              return before === undefined ? 0 : 1;
            });
            const answers = await Promise.all(
              group.map(({ name, type, by }) => ask(engine, type, name, by)),
            );
            assert.deepEqual(answers, expected);
            for (const { name, counter } of await store.list('default', 'counter', ALL)) {
              assert.equal(counterValue(counter ?? emptyCounter()), model.get(name) ?? 0);
            }
          }
        },
      ),
      { numRuns: 150 },
    );
  });

  it('refuses exactly what leaves the range, where parts took a counter out of it', async () => {
    const store = new FailingStore();
    const engine = engineOn(store);
    const part = new Command('part-put', 'default', 'a', () => {});
    part.part = { partition: 0, logId: 'l', epoch: 0, offset: 0, value: -2, replaceLog: false };
    assert.equal(await ask(engine, 'increment', 'a', -Number.MAX_SAFE_INTEGER), -(2 ** 53 - 1));
    engine.submit(part);
    const answers = [ask(engine, 'increment', 'a', 1), ask(engine, 'increment', 'b', 7)];
    // -(2^53 + 1) is no double: as the nearest one, the first would seem to fit.
    assert.deepEqual(await Promise.all(answers), ['counter_overflow', 7]);
    assert.equal(await ask(engine, 'increment', 'a', 2), -(2 ** 53 - 1));
    await engine.drain();
  });

  it('shares one commit among all that arrive while another is under way', async () => {
    const store = new FailingStore();
    const engine = engineOn(store);
    const { promise, resolve } = Promise.withResolvers<void>();
    store.gate = promise;
    const first = ask(engine, 'increment', 'a', 1);
    await new Promise((done) => setImmediate(() => setImmediate(done)));
    const rest = Array.from({ length: 50 }, () => ask(engine, 'increment', 'a', 1));
    const read = ask(engine, 'counter-get', 'a');
    assert.equal(store.commits.length, 0);
    resolve();
    assert.equal(await first, 1);
    assert.equal(await read, 51);
    await Promise.all(rest);
    assert.equal(store.commits.length, 2);
    assert.equal(store.commits[1]?.changes.length, 1);
  });

  for (const failing of ['before', 'after'] as const) {
    it(`after a commit that failed ${failing} it was there: errors, another incarnation, right reads`, async () => {
      const store = new FailingStore();
      const engine = engineOn(store);
      assert.equal(await ask(engine, 'increment', 'a', 5), 5);
      store.failing = failing;
      const answers = [ask(engine, 'increment', 'a', 1), ask(engine, 'counter-get', 'a')];
      const code = failing === 'before' ? 'storage_full' : 'storage_unavailable';
      const stored = failing === 'before' ? 5 : 6;
      assert.deepEqual(await Promise.all(answers), [code, stored]);
      store.failing = undefined;
      assert.equal(await ask(engine, 'increment', 'a', 10), stored + 10);
      const [one, two] = store.commits;
      assert.notEqual(one?.incarnation, two?.incarnation);
    });
  }

  it('tells that commits fail, and recovers by a probe where nobody writes', async () => {
    const store = new FailingStore();
    const engine = engineOn(store);
    await ask(engine, 'increment', 'a', 5);
    await ask(engine, 'probe', '');
    assert.equal(store.commits.length, 1, 'a probe writes nothing while all is well');
    store.failing = 'before';
    await ask(engine, 'increment', 'a', 1);
    for (let i = 0; i < 50; i++) await ask(engine, 'probe', '');
    assert.equal(engine.storageFailure?.code, 'storage_full');
    assert.equal((await engine.commitVector()).size, 2, 'failures do not add up');
    store.failing = undefined;
    assert.equal(await ask(engine, 'probe', ''), 0);
    assert.equal(engine.storageFailure, undefined);
    assert.equal(await ask(engine, 'counter-get', 'a'), 5);
  });

  it('refuses what does not fit its queue, and anything once it drains', async () => {
    const engine = engineOn(new FailingStore(), { queued: 2 });
    const taken = [ask(engine, 'increment', 'a', 1), ask(engine, 'increment', 'a', 1)];
    await assert.rejects(ask(engine, 'increment', 'a', 1), { code: 'overloaded' });
    const drained = engine.drain();
    await assert.rejects(ask(engine, 'increment', 'a', 1), { code: 'shutting_down' });
    await drained;
    assert.deepEqual(await Promise.all(taken), [1, 2]);
  });
});
