import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, it } from 'node:test';
import { figure, type Seeded, scaled, testSeed } from '@memplane/testkit';
import { EmbeddedStore } from '../drivers/embedded-store.ts';
import { CheckedStore } from '../drivers/test-checked-store.ts';
import type { CommandType } from './command.ts';
import { joinAll, joinNamed } from './join-all.ts';
import type { LocalCommit } from './local-commit.ts';
import type { CrdtStore } from './port.ts';
import { type Ask, sent, TestReplica } from './test-replica.ts';

const NOW = 1_790_000_000_000;
const NAMES = ['a', 'b', 'c', 'only-added'];
const ELEMENTS = ['x', 'y', 'ü\0', '', 'a longer element'];
const OPS_MAX = 1_000;
const seed = testSeed('exchange');

type OpenStore = (index: number) => Promise<CrdtStore>;

const TYPES: readonly CommandType[] = [
  'increment',
  'increment',
  'increment',
  'counter-reset',
  'set-add',
  'set-add',
  'set-add',
  'set-remove',
  'set-reset',
  'register-put',
  'register-put',
  'register-reset',
  'reset-any',
];

/** Two to four replicas, and all that each has told, which any of them may send to any other. */
class World {
  readonly random: Seeded;
  readonly replicas: TestReplica[] = [];
  readonly told = new Map<string, LocalCommit[]>();
  readonly #open: OpenStore;
  added = 0;
  joins = 0;
  restarts = 0;
  #opIds = 0;
  #nowMs = NOW;

  constructor(random: Seeded, open: OpenStore) {
    this.random = random;
    this.#open = open;
  }

  async start(count: number): Promise<void> {
    for (let index = 0; index < count; index++) {
      this.replicas.push(await this.#startOn(index, await this.#open(index)));
    }
  }

  async step(): Promise<void> {
    this.#nowMs += this.random.int(0, 1_500);
    const index = this.random.int(0, this.replicas.length - 1);
    const replica = this.#replica(index);
    const what = this.random.int(0, 99);
    if (what < 50) await this.#mutate(replica);
    else if (what < 92) {
      // Together, so that joins stand between commands in the queue.
      await Promise.all([this.#receive(replica), this.#mutate(replica)]);
    } else await this.#restart(index);
  }

  /** Sends everything everywhere, in any order. */
  async heal(): Promise<void> {
    for (const replica of this.random.shuffle(this.replicas)) {
      for (const incarnation of this.random.shuffle([...this.told.keys()])) {
        const commits = this.told.get(incarnation) ?? [];
        const known = replica.executor.known.get(incarnation) ?? 0;
        if (known < commits.length) await replica.receive(commits.slice(known));
      }
    }
  }

  async expectEqual(): Promise<void> {
    const [first, ...others] = this.replicas;
    assert.ok(first);
    for (const other of others) {
      assert.deepEqual(await other.digests(), await first.digests());
      for (const name of NAMES) assert.deepEqual(await other.read(name), await first.read(name));
    }
    const { outcome } = await first.ask({ type: 'counter-get', name: 'only-added' });
    assert.equal(outcome.number, this.added, 'every increment counts once');
    for (const { options, executor } of this.replicas) {
      for (const [incarnation, commits] of this.told) {
        assert.equal(executor.known.get(incarnation), commits.length);
      }
      for await (const value of options.store.verify()) assert.equal(value.stored, value.computed);
    }
  }

  async #mutate(replica: TestReplica): Promise<void> {
    const asks = Array.from({ length: this.random.int(0, 6) }, () => this.#ask());
    const settled = await Promise.all(asks.map((ask) => replica.ask(ask)));
    settled.forEach(({ error, outcome, name, type, by }) => {
      assert.ok(error === undefined || error.code === 'wrong_type', error?.code);
      if (name !== 'only-added' || type !== 'increment') return;
      assert.ok(error === undefined && !outcome.flag);
      this.added += by;
    });
  }

  #ask(): Ask {
    const { random } = this;
    const by = random.int(-5, 9);
    const opId = random.chance(0.4) ? `op${this.#opIds++}` : undefined;
    if (random.chance(0.2)) return { type: 'increment', name: 'only-added', by, opId };
    const elements = Array.from({ length: random.int(1, 3) }, () => random.pick(ELEMENTS));
    const [type, name] = [random.pick(TYPES), random.pick(NAMES.slice(0, 3))];
    return { type, name, by, opId, elements, value: random.int(0, 9) };
  }

  /** Ranges that may begin before what is known; a crash may come before the vector is raised. */
  async #receive(replica: TestReplica): Promise<void> {
    const { random } = this;
    const incarnations = random.shuffle([...this.told.keys()]).slice(0, random.int(1, 3));
    const commits = incarnations.flatMap((incarnation) => {
      const told = this.told.get(incarnation) ?? [];
      const known = Math.min(replica.executor.known.get(incarnation) ?? 0, told.length);
      const after = random.int(Math.max(0, known - 3), known);
      return told.slice(after, random.int(after, told.length));
    });
    this.joins++;
    if (random.chance(0.8)) await replica.receive(commits);
    else await joinAll(replica.engine, sent(commits.map(({ delta }) => delta)));
  }

  /** Another incarnation on the same store, after a clean end or none. */
  async #restart(index: number): Promise<void> {
    const before = this.#replica(index);
    this.restarts++;
    const isClean = this.random.chance(0.5);
    await before.engine.drain();
    if (isClean) await before.engine.flush();
    const store = before.options.store;
    const replica = await this.#startOn(index, store);
    this.replicas[index] = replica;
    for (const [incarnation, commits] of before.executor.known) {
      const known = replica.executor.known.get(incarnation) ?? 0;
      if (isClean || incarnation === before.executor.incarnation) assert.equal(known, commits);
      else assert.ok(known <= commits, 'a vector is never ahead');
    }
  }

  #startOn(index: number, store: CrdtStore): Promise<TestReplica> {
    return TestReplica.start({
      id: `replica-${index}`,
      store,
      now: () => this.#nowMs + index * 700,
      newIncarnation: () => {
        const digits = Array.from({ length: 32 }, () => this.random.int(0, 15).toString(16));
        return digits.join('');
      },
      told: (commit) => this.#tell(commit),
      hot_bytes_max: this.random.pick([1, 3_000, 100_000]),
    });
  }

  #tell(commit: LocalCommit): void {
    const told = this.told.get(commit.incarnation) ?? [];
    this.told.set(commit.incarnation, told);
    assert.equal(commit.number, told.length + 1, 'numbers have no gaps');
    // As others would have it, and as it is now: nothing may change it later.
    told.push({ ...commit, delta: sent([commit.delta]) });
  }

  #replica(index: number): TestReplica {
    const replica = this.replicas[index];
    assert.ok(replica);
    return replica;
  }
}

async function runWorlds(name: string, runs: number, open: (run: number) => OpenStore) {
  const sums = { commits: 0, joins: 0, restarts: 0 };
  for (let run = 0; run < runs; run++) {
    const world = new World(seed.fork(run), open(run));
    await world.start(world.random.int(2, 4));
    for (let steps = world.random.int(5, 60); steps > 0; steps--) await world.step();
    await world.heal();
    await world.expectEqual();
    for (const commits of world.told.values()) sums.commits += commits.length;
    sums.joins += world.joins;
    sums.restarts += world.restarts;
    for (const { options } of world.replicas) await options.store.close();
  }
  for (const [what, sum] of Object.entries(sums)) figure(`exchange on ${name}: ${what}`, sum);
}

describe('replicas that exchange deltas in any order, some twice, and restart', () => {
  it('are equal in the end, in memory', async () => {
    const runs = scaled('exchange_runs', { ci: 150, soak: 10_000 });
    await runWorlds('memory', runs, () => async () => new CheckedStore(OPS_MAX));
  });

  it('are equal in the end, on disk', async () => {
    const dir = await mkdtemp(path.join(tmpdir(), 'memplane-exchange-'));
    const runs = scaled('exchange_disk_runs', { ci: 8, soak: 300 });
    await runWorlds('disk', runs, (run) => (index) => {
      const folder = path.join(dir, `${run}-${index}`);
      return EmbeddedStore.open({ dir: folder, op_ids_per_counter_max: OPS_MAX });
    });
    await rm(dir, { recursive: true });
  });

  it('find by digests what was never told, and join it whole', async () => {
    const runs = scaled('exchange_whole_runs', { ci: 60, soak: 3_000 });
    for (let run = 0; run < runs; run++) {
      const world = new World(seed.fork(1_000_000 + run), async () => new CheckedStore(OPS_MAX));
      await world.start(2);
      for (let steps = 25; steps > 0; steps--) await world.step();
      const [a, b] = world.replicas;
      assert.ok(a && b);
      const states = await Promise.all([a, b].map((it) => it.options.store.digests(ALL)));
      const refs = new Set(states.flat().map(({ name }) => name));
      for (const [from, to] of [
        [a, b],
        [b, a],
      ] as const) {
        for (const name of refs) {
          const ref = { tenant: 'default', name };
          const { set, ...rest } = await from.options.store.state(ref);
          await joinNamed(to.engine, ref, { ...rest, set: set && { whole: set } });
        }
      }
      assert.deepEqual(await a.digests(), await b.digests());
      for (const name of NAMES) assert.deepEqual(await a.read(name), await b.read(name));
    }
  });
});

const ALL = { after: undefined, limit: 10_000 };
