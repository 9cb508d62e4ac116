import assert from 'node:assert/strict';
import { type MapPlace, type OrMapState, readCounterField } from '@memplane/crdt';
import type { Seeded } from '@memplane/testkit';
import type { CommandType } from './command.ts';
import { joinAll } from './join-all.ts';
import type { LocalCommit } from './local-commit.ts';
import { type Ask, type ReplicaOptions, sent, type TestReplica } from './test-replica.ts';

const NOW = 1_790_000_000_000;
export const EXCHANGE_NAMES = ['a', 'b', 'c', 'only-added', 'once', 'map-added'];
/** Operation ids that any replica is sent, any number of times: each adds another power of two. */
const ONCE_IDS = 24;
const ELEMENTS = ['x', 'y', 'ü\0', '', 'a longer element'];

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
  'map-increment',
  'map-add',
  'map-add',
  'map-remove',
  'map-write',
  'map-reset',
  'reset-any',
];
const PATHS = [['f'], ['g'], ['in', 'f'], ['in', 'in', 'g']];
const ADDED: MapPlace = { type: 'counter', path: ['in', 'sum'] };

/** Begins a replica on all that it had before. */
export type StartReplica = (
  index: number,
  options: Omit<ReplicaOptions, 'store'>,
) => Promise<TestReplica>;

/** Two to four replicas, and all that each has told, which any of them may send to any other. */
export class ExchangeWorld {
  readonly random: Seeded;
  readonly replicas: TestReplica[] = [];
  readonly told = new Map<string, LocalCommit[]>();
  readonly #start: StartReplica;
  readonly #cleanShare: number;
  added = 0;
  /** The same to a counter in a map, of which nothing is ever removed. */
  addedToMap = 0;
  readonly #once = new Set<number>();
  joins = 0;
  restarts = 0;
  #opIds = 0;
  #nowMs = NOW;

  /** @param cleanShare how many of the restarts come after a clean end */
  constructor(random: Seeded, start: StartReplica, cleanShare = 0.5) {
    this.random = random;
    this.#start = start;
    this.#cleanShare = cleanShare;
  }

  async start(count: number): Promise<void> {
    for (let index = 0; index < count; index++) {
      this.replicas.push(await this.#begin(index));
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
    // What shows when they meet is told too.
    for (let sent = 1; sent > 0; ) {
      sent = 0;
      for (const replica of this.random.shuffle(this.replicas)) {
        for (const incarnation of this.random.shuffle([...this.told.keys()])) {
          const commits = this.told.get(incarnation) ?? [];
          const known = replica.executor.known.get(incarnation) ?? 0;
          if (known >= commits.length) continue;
          await replica.receive(commits.slice(known));
          sent++;
        }
      }
    }
  }

  async expectEqual(): Promise<void> {
    const [first, ...others] = this.replicas;
    assert.ok(first);
    for (const other of others) {
      assert.deepEqual(await other.digests(), await first.digests());
      for (const name of EXCHANGE_NAMES)
        assert.deepEqual(await other.read(name), await first.read(name));
    }
    const { outcome } = await first.ask({ type: 'counter-get', name: 'only-added' });
    assert.equal(outcome.number, this.added, 'every increment counts once');
    const map = await first.ask({ type: 'map-get', name: 'map-added' });
    const sumInMap = readCounterField(map.outcome.value as OrMapState, ADDED.path);
    assert.equal(Number(sumInMap), this.addedToMap, 'every increment in a map counts once');
    const once = await first.ask({ type: 'counter-get', name: 'once' });
    const sum = [...this.#once].reduce((all, by) => all + by, 0);
    assert.equal(once.outcome.number, sum, 'every operation id counts once');
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
      if (name === 'once') this.#once.add(by);
      if (name === 'map-added') this.addedToMap += by;
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
    if (random.chance(0.2)) return { type: 'map-increment', name: 'map-added', by, place: ADDED };
    if (random.chance(0.2)) {
      const n = random.int(0, ONCE_IDS - 1);
      return { type: 'increment', name: 'once', by: 2 ** n, opId: `once${n}` };
    }
    const elements = Array.from({ length: random.int(1, 3) }, () => random.pick(ELEMENTS));
    const [type, name] = [random.pick(TYPES), random.pick(EXCHANGE_NAMES.slice(0, 3))];
    const place = placeFor(type, random);
    return { type, name, by, opId, elements, value: random.int(0, 9), place };
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
    const isClean = this.random.chance(this.#cleanShare);
    await before.engine.drain();
    if (isClean) await before.engine.flush();
    const replica = await this.#begin(index);
    this.replicas[index] = replica;
    for (const [incarnation, commits] of before.executor.known) {
      const known = replica.executor.known.get(incarnation) ?? 0;
      if (isClean || incarnation === before.executor.incarnation) assert.equal(known, commits);
      else assert.ok(known <= commits, 'a vector is never ahead');
    }
  }

  #begin(index: number): Promise<TestReplica> {
    return this.#start(index, {
      id: `replica-${index}`,
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

/** Of the type that a command is about; what is removed may be of any. */
function placeFor(type: CommandType, random: Seeded): MapPlace {
  const path = random.pick(PATHS);
  if (type === 'map-increment') return { type: 'counter', path };
  if (type === 'map-write') return { type: 'register', path };
  if (type === 'map-remove' && random.chance(0.5)) {
    return { type: random.pick(['counter', 'register', 'set', 'map'] as const), path };
  }
  return { type: 'set', path, element: random.pick(ELEMENTS) };
}
