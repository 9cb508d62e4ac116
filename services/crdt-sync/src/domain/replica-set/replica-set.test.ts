import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { scaled, testSeed } from '@memplane/testkit';
import { elementsOf } from '../replication/quorum-values.ts';
import { SimulatedPlane } from '../replication/simulated-plane.ts';
import { ReplicaSetKeeper } from './replica-set-keeper.ts';
import { TestStrongStore } from './test-strong-store.ts';

const { seed } = testSeed('replica-set');
const IDS = ['a', 'b', 'c', 'd', 'e'];
const FIRST = ['a', 'b', 'c'];
const REF = { tenant: 'default', name: 's' };
const POLL_MS = 500;
/** Then nothing but quorums and changes of the set brings to others what was written. */
const NEVER_MS = 86_400_000;
const PAGE = { after: undefined, limit: 1_000_000 };

/** Whole replicas that go by a record in one strong store. */
class RecordPlane {
  readonly plane: SimulatedPlane;
  readonly store: TestStrongStore;
  readonly keepers = new Map<string, ReplicaSetKeeper>();
  readonly #nonces = new Map<string, number>();

  constructor(seed: number, isReplicating: boolean) {
    this.plane = new SimulatedPlane(seed, IDS);
    if (!isReplicating) this.plane.syncIntervalMs = NEVER_MS;
    const { time } = this.plane.net;
    const timers = { now: () => time.nowMs, after: time.after.bind(time) };
    this.store = new TestStrongStore(this.plane.net.random.fork(3), timers);
    this.plane.setsOf = (self) => {
      const keeper = new ReplicaSetKeeper({
        self,
        store: this.store.of(self),
        proposal: FIRST,
        timers,
        pollMs: POLL_MS,
        newNonce: () => this.#nonce(self),
        onFailure: () => {},
        onVersion: () => {},
      });
      this.keepers.set(self, keeper);
      return keeper;
    };
  }

  /** @param isReplicating whether commits are sent to others, as they are in a real plane */
  static async started(seed: number, isReplicating = false): Promise<RecordPlane> {
    const made = new RecordPlane(seed, isReplicating);
    for (const id of IDS) await made.start(id);
    await made.plane.net.until(() => IDS.every((id) => made.isReady(id)), 60_000);
    return made;
  }

  async start(id: string): Promise<void> {
    const { participants } = await this.plane.start(id);
    const keeper = this.keeper(id);
    keeper.participants = participants;
    keeper.start();
  }

  /** Ends a replica at once. */
  kill(id: string): void {
    this.keeper(id).stop();
    this.keepers.delete(id);
    this.plane.kill(id);
  }

  keeper(id: string): ReplicaSetKeeper {
    return this.keepers.get(id) ?? assert.fail(`there is no replica ${id}`);
  }

  isReady(id: string): boolean {
    const live = this.plane.net.get(id).cluster.live();
    return this.keeper(id).current !== undefined && live.length === IDS.length - 1;
  }

  /** An element that a majority has when it resolves. */
  async write(id: string, element: string): Promise<void> {
    const { quorum, replica, writes } = this.plane.get(id);
    const command = await replica.ask({ type: 'set-add', name: REF.name, elements: [element] });
    if (this.plane.syncIntervalMs === NEVER_MS) await quorum.write(REF);
    else await writes.confirmed(command);
  }

  async read(id: string): Promise<string[]> {
    const { state } = await this.plane.get(id).quorum.read(REF);
    return elementsOf(state, REF, PAGE);
  }

  async settled(id: string): Promise<void> {
    const keeper = this.keeper(id);
    await this.plane.net.until(() => keeper.unconfirmed.length === 0, 60_000);
  }

  stop(): void {
    for (const id of [...this.keepers.keys()]) this.kill(id);
  }

  #nonce(self: string): string {
    const number = (this.#nonces.get(self) ?? 0) + 1;
    this.#nonces.set(self, number);
    return `${self}-${number}`;
  }
}

/** Random writes, reads, cuts, ends of replicas and changes of the set, all under way at once. */
class Interleaving {
  readonly world: RecordPlane;
  /** What a quorum write has been confirmed, or a quorum read has given. */
  readonly #seen = new Set<string>();
  readonly #underWay = new Set<Promise<void>>();
  readonly counts = { writes: 0, reads: 0, changes: 0, refused: 0 };
  #elements = 0;
  #failed: unknown;

  constructor(world: RecordPlane) {
    this.world = world;
  }

  async run(rounds: number): Promise<void> {
    for (let round = 0; round < rounds; round++) {
      const { net } = this.world.plane;
      if (round % 6 === 0) this.#cut();
      for (let each = net.random.int(1, 4); each > 0; each--) this.#begin();
      await net.run(net.random.int(10, 250));
    }
    this.world.plane.net.network.healAll();
    await this.world.plane.settled(Promise.allSettled(this.#underWay), 120_000);
  }

  #pick(): string {
    return IDS[this.world.plane.net.random.int(0, IDS.length - 1)] ?? 'a';
  }

  #cut(): void {
    const { net } = this.world.plane;
    net.network.healAll();
    for (const one of IDS) {
      for (const other of IDS)
        if (one < other && net.random.chance(0.35)) net.split([one], [other]);
    }
  }

  #begin(): void {
    const { random } = this.world.plane.net;
    const kind = random.next();
    if (kind < 0.45) this.#track(this.#write());
    else if (kind < 0.8) this.#track(this.#read());
    else this.#track(this.#change());
  }

  #track(work: Promise<void>): void {
    const tracked = work
      .catch((error: { code?: string }) => {
        const isExpected = /no_quorum|replica_set_changing|not_found|invalid_request/;
        if (!isExpected.test(error.code ?? '')) throw error;
        this.counts.refused++;
      })
      .finally(() => this.#underWay.delete(tracked));
    this.#underWay.add(tracked);
    tracked.catch((error: unknown) => {
      this.#failed ??= error;
    });
  }

  /** @throws what went wrong in any of it */
  check(): void {
    if (this.#failed !== undefined) throw this.#failed;
  }

  async #write(): Promise<void> {
    const element = `${++this.#elements}`;
    await this.world.write(this.#pick(), element);
    this.#seen.add(element);
    this.counts.writes++;
  }

  async #read(): Promise<void> {
    const before = [...this.#seen];
    const id = this.#pick();
    const read = new Set(await this.world.read(id));
    const lacking = before.filter((element) => !read.has(element));
    const set = this.world.keeper(id).current;
    assert.deepEqual(lacking, [], `${id} misses what was there, by ${JSON.stringify(set)}`);
    for (const element of read) this.#seen.add(element);
    this.counts.reads++;
  }

  async #change(): Promise<void> {
    const keeper = this.world.keeper(this.#pick());
    const id = this.#pick();
    const replicas = keeper.current?.replicas ?? [];
    if (replicas.includes(id)) {
      if (replicas.length > 2) await keeper.remove(id);
    } else await keeper.add(id);
    this.counts.changes++;
  }
}

describe('the replica set, by its record', () => {
  it('begins with one proposal, changes by one, and goes on where it was', async () => {
    const world = await RecordPlane.started(seed);
    const { plane } = world;
    for (const id of IDS) assert.deepEqual(world.keeper(id).current?.replicas, FIRST);
    await plane.settled(world.write('a', 'before'));
    await plane.settled(world.keeper('e').add('d'));
    const { version, replicas } = world.keeper('e').current ?? {};
    assert.deepEqual([version, replicas], [2, ['a', 'b', 'c', 'd']]);
    await world.settled('e');
    await plane.settled(world.keeper('a').add('d'));
    assert.equal(world.keeper('a').current?.version, 2, 'it was there already');
    await plane.settled(world.keeper('a').remove('a'));
    await world.settled('a');
    plane.net.split(['b', 'a'], ['c', 'd', 'e']);
    assert.deepEqual(await plane.settled(world.read('e')), ['before']);
    world.kill('d');
    await world.start('d');
    await plane.net.until(() => world.keeper('d').current?.version === 3, 10_000);
    await assert.rejects(plane.settled(world.read('a')), (error: Error) => {
      const { code, extra } = error as unknown as { code: string; extra: object };
      assert.equal(code, 'no_quorum');
      assert.deepEqual(extra, { replicaSet: ['b', 'c', 'd'], quorum: 2, replicaSetVersion: 3 });
      return true;
    });
    world.stop();
  });

  it('refuses a change while the last one is not settled, and who does not live', async () => {
    const world = await RecordPlane.started(seed);
    const { plane } = world;
    await assert.rejects(plane.settled(world.keeper('a').add('x')), { code: 'not_found' });
    // Nobody can take over from a majority.
    plane.net.split(['a'], ['b'], ['c', 'd', 'e']);
    await plane.settled(world.keeper('a').remove('c'));
    const refused = plane.settled(world.keeper('c').add('d'), 30_000);
    await assert.rejects(refused, { code: 'replica_set_changing' });
    assert.deepEqual(world.keeper('a').unconfirmed, ['a', 'b']);
    plane.net.network.healAll();
    await world.settled('a');
    world.stop();
  });

  it('is not guessed where it is not known', async () => {
    const world = new RecordPlane(seed, false);
    for (const id of IDS) world.store.away.add(id);
    for (const id of IDS) await world.start(id);
    await world.plane.net.run(3_000);
    await assert.rejects(world.plane.settled(world.read('a')), { code: 'no_quorum' });
    world.store.away.clear();
    await world.plane.net.until(() => IDS.every((id) => world.isReady(id)), 60_000);
    assert.deepEqual(await world.plane.settled(world.read('a')), []);
    world.stop();
  });

  it('brings what a majority had to each later majority', async () => {
    const world = await RecordPlane.started(seed);
    const { plane } = world;
    plane.net.split(['a', 'b'], ['c', 'd', 'e']);
    await plane.settled(world.write('a', 'x'));
    // Nobody asks the others any more to take it.
    await plane.net.run(1_500);
    plane.net.network.healAll();
    for (const id of ['d', 'e']) {
      await plane.settled(world.keeper('a').add(id), 30_000);
      await world.settled('a');
    }
    plane.net.split(['a', 'b'], ['c', 'd', 'e']);
    assert.deepEqual(await plane.settled(world.read('e')), ['x']);
    world.stop();
  });

  it('confirms nothing for a version that is over', async () => {
    const world = await RecordPlane.started(seed, true);
    const { plane } = world;
    world.store.away.add('a');
    for (const id of ['d', 'e']) {
      await plane.settled(world.keeper('b').add(id), 30_000);
      await world.settled('b');
    }
    plane.net.split(['a', 'b'], ['c', 'd', 'e']);
    assert.deepEqual(world.keeper('a').current?.replicas, FIRST, 'it knows of no change');
    await assert.rejects(plane.settled(world.write('a', 'x')), { code: 'no_quorum' });
    await assert.rejects(plane.settled(world.read('a')), { code: 'no_quorum' });
    assert.deepEqual(await plane.settled(world.read('e')), []);
    world.stop();
  });

  it('settles no change by replicas that do not know of it', async () => {
    const world = await RecordPlane.started(seed);
    const { plane } = world;
    for (const id of ['a', 'b']) world.store.away.add(id);
    await plane.settled(world.keeper('c').add('d'), 30_000);
    await plane.net.run(20_000);
    assert.deepEqual(world.keeper('c').unconfirmed, ['a', 'b', 'c', 'd']);
    // Both versions have a majority meanwhile, and these share a replica.
    await plane.settled(world.write('a', 'x'));
    world.store.away.clear();
    await world.settled('c');
    assert.deepEqual(await plane.settled(world.read('d')), ['x']);
    world.stop();
  });

  it('leaves nothing behind that a quorum had, whatever interleaves', async (t) => {
    const runs = scaled('replica_set_runs', { ci: 1, soak: 400 });
    const all = { writes: 0, reads: 0, changes: 0, refused: 0 };
    let versions = 0;
    for (let run = 0; run < runs; run++) {
      const world = await RecordPlane.started(seed + run, run % 2 === 1);
      const interleaving = new Interleaving(world);
      await interleaving.run(100);
      interleaving.check();
      for (const key of Object.keys(all) as (keyof typeof all)[]) {
        all[key] += interleaving.counts[key];
      }
      versions += Math.max(...IDS.map((id) => world.keeper(id).current?.version ?? 0));
      world.stop();
    }
    t.diagnostic(JSON.stringify({ runs, versions, ...all }));
    assert.ok(all.reads > 10 * runs && all.writes > 10 * runs && versions > 3 * runs);
  });
});
