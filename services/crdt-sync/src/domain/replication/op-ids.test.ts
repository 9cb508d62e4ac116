import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { GOOD_NETWORK } from '@memplane/gossip/testing/simulated-network';
import { figure, scaled, seeded, testSeed } from '@memplane/testkit';
import { OPID_MEMORY_MS, TestReplica } from '../test-replica.ts';
import { SimulatedPlane } from './simulated-plane.ts';
import { Stability } from './stability.ts';

const RUNS = scaled('op_id_chaos_runs', { ci: 30, soak: 3_000 });
const { seed } = testSeed('operation ids');
const STEPS = 50;
const OPS = 40;
const CONVERGE_LIMIT_MS = 10_000;
const IDS = ['a', 'b', 'c'];
/** Runs that once found something. */
const FOUND_ONCE = [1_381_654_321];
/** From when on no replica takes an id any more. */
const OVER_MS = OPID_MEMORY_MS + TestReplica.driftMaxMs + 30_000;

/** Each operation adds another power of two, so that the value tells which counted, and how often. */
class OpChaos {
  readonly plane: SimulatedPlane;
  readonly #ids: readonly string[];
  readonly #random;
  /** By operation, the stores that had acknowledged it. */
  readonly #acknowledged: Set<string>[] = [];
  readonly #emptied = new Map<string, number>();
  repetitions = 0;
  isReconciled = false;

  constructor(runSeed: number) {
    this.#random = seeded(runSeed);
    this.#ids = ['a', 'b', 'c', 'd', 'e'].slice(0, this.#random.int(3, 5));
    this.plane = new SimulatedPlane(runSeed, this.#ids);
    this.plane.net.network.conditions = {
      ...GOOD_NETWORK,
      lossRate: this.#random.next() * 0.2,
      duplicateRate: this.#random.next() * 0.2,
      lateRate: this.#random.next() * 0.1,
      lateMs: 2_000,
    };
  }

  async run(): Promise<number> {
    await this.plane.startAll();
    for (let step = 0; step < STEPS; step++) await this.#step();
    const { net } = this.plane;
    net.network.healAll();
    net.network.conditions = GOOD_NETWORK;
    for (const id of this.#ids) if (!this.plane.replicas.has(id)) await this.plane.start(id);
    const sees = (id: string) => net.get(id).cluster.live().length === this.#ids.length - 1;
    await net.until(() => this.#ids.every(sees), 120_000);
    await this.#converge();
    const contested = await this.#check();
    this.plane.stop();
    return contested;
  }

  /**
   * What was joined in without its vector, and whose committer has lost it since, no vector tells of:
   * only a reconciliation finds it (ADR 0019).
   */
  async #converge(): Promise<void> {
    try {
      await this.plane.untilConverged(CONVERGE_LIMIT_MS);
    } catch (cause) {
      if (this.#emptied.size === 0) throw cause;
      const { signal } = new AbortController();
      for (const { reconciling } of this.plane.replicas.values()) {
        await this.plane.settled(reconciling.run(false, signal), 60_000);
      }
      await this.plane.untilConverged(CONVERGE_LIMIT_MS);
      this.isReconciled = true;
    }
  }

  async #step(): Promise<void> {
    const random = this.#random;
    const choice = random.next();
    const id = random.pick(this.#ids);
    const isUp = this.plane.replicas.has(id);
    if (choice < 0.65) {
      // To several at once, as one does who had no answer.
      for (let n = random.int(1, 3); n > 0; n--) this.#count(random.pick(this.#ids));
    } else if (choice < 0.75) {
      const [one, other] = [random.pick(this.#ids), random.pick(this.#ids)];
      if (one !== other) this.plane.net.split([one], [other]);
    } else if (choice < 0.8) this.plane.net.network.healAll();
    else if (choice < 0.9) {
      if (isUp && this.plane.replicas.size > 2) {
        this.plane.kill(id);
        if (random.chance(0.4)) this.#empty(id);
      } else if (!isUp) await this.plane.start(id);
    }
    await this.plane.net.run(random.int(0, 400));
  }

  #empty(id: string): void {
    this.plane.stores.delete(id);
    this.#emptied.set(id, (this.#emptied.get(id) ?? 0) + 1);
  }

  /** A new operation, or one of before. */
  #count(id: string): void {
    if (!this.plane.replicas.has(id)) return;
    const random = this.#random;
    const sent = this.#acknowledged.length;
    const isNew = sent === 0 || (random.chance(0.4) && sent < OPS);
    const operation = isNew ? sent : random.int(Math.max(0, sent - 5), sent - 1);
    if (isNew) this.#acknowledged.push(new Set());
    else this.repetitions++;
    const ask = {
      type: 'increment',
      name: 'c',
      by: 2 ** operation,
      opId: `op${operation}`,
    } as const;
    const { replica } = this.plane.get(id);
    void replica.ask(ask).then(({ error }) => {
      if (error === undefined) this.#acknowledged[operation]?.add(this.#storeOf(id));
    });
  }

  #storeOf(id: string): string {
    return `${id} ${this.#emptied.get(id) ?? 0}`;
  }

  async #check(): Promise<number> {
    const left = new Set(this.#ids.map((id) => this.#storeOf(id)));
    let contested = 0;
    for (const id of this.#ids) {
      const { replica } = this.plane.get(id);
      const { outcome } = await replica.ask({ type: 'counter-get', name: 'c' });
      const counted = BigInt(outcome.number);
      assert.ok(counted < 2n ** BigInt(this.#acknowledged.length), 'one counted more than once');
      this.#acknowledged.forEach((stores, operation) => {
        const isSure = [...stores].some((store) => left.has(store));
        const isCounted = ((counted >> BigInt(operation)) & 1n) === 1n;
        assert.ok(isCounted || !isSure, `operation ${operation} at ${id}`);
        assert.ok(stores.size > 0 || !isCounted, `operation ${operation} was never acknowledged`);
      });
      const { counter } = await replica.options.store.state({ tenant: 'default', name: 'c' });
      contested = Math.max(contested, counter?.contested?.size ?? 0);
    }
    return contested;
  }
}

describe('operation ids that are sent to several replicas', () => {
  it(`count once at all, through cuts, ends and emptied stores, ${RUNS} runs`, async () => {
    const sums = { repetitions: 0, contested: 0, reconciled: 0 };
    const seeds = Array.from({ length: RUNS }, (_, run) => seed + run);
    for (const [run, runSeed] of [...FOUND_ONCE, ...seeds].entries()) {
      try {
        const chaos = new OpChaos(runSeed);
        sums.contested += await chaos.run();
        sums.repetitions += chaos.repetitions;
        if (chaos.isReconciled) sums.reconciled++;
      } catch (cause) {
        throw new Error(`run ${run}, MEMPLANE_TEST_SEED=${runSeed}`, { cause });
      }
    }
    figure('operation ids sent again', sums.repetitions);
    figure('operation ids that several replicas counted', sums.contested);
    figure('runs that only a reconciliation made equal', sums.reconciled);
    assert.ok(sums.contested > 0);
    assert.ok(sums.reconciled <= RUNS / 30, `${sums.reconciled} runs`);
  });
});

describe('the memory of operation ids', () => {
  async function planeOf(op_ids_per_counter_max: number): Promise<SimulatedPlane> {
    const plane = new SimulatedPlane(seed, IDS);
    plane.op_ids_per_counter_max = op_ids_per_counter_max;
    await plane.startAll();
    return plane;
  }

  const count = (plane: SimulatedPlane, id: string, opId: string | undefined) =>
    plane.get(id).replica.ask({ type: 'increment', name: 'c', by: 1, opId });

  it('refuses new ids when it is full, and makes room when all others have them', async () => {
    const plane = await planeOf(8);
    for (let n = 0; n < 8; n++) assert.equal((await count(plane, 'a', `${n}`)).error, undefined);
    const { error } = await count(plane, 'a', 'new');
    assert.equal(error?.code, 'opid_memory_full');
    assert.equal(error.extra['limit'], 'op_ids_per_counter_max');
    assert.ok(error.retryAfterMs !== undefined);
    assert.equal((await count(plane, 'a', '3')).outcome.flag, true);
    assert.equal((await count(plane, 'a', undefined)).outcome.number, 9);
    await plane.untilConverged(2_000);
    await plane.net.run(OVER_MS, 50);
    const again = await count(plane, 'a', 'new');
    assert.deepEqual([again.error, again.outcome.number], [undefined, 10]);
    plane.stop();
  });

  it('keeps what a replica that is away may have counted too', async () => {
    assert.deepEqual(await countedTwoWays(false), [8, 8, 8]);
  });

  it('would count twice if it did not', async () => {
    assert.notDeepEqual(await countedTwoWays(true), [8, 8, 8]);
  });

  /** `c` counts an id that `a` counts too, and is away until that could have been forgotten. */
  async function countedTwoWays(isForgetful: boolean): Promise<unknown[]> {
    const plane = await planeOf(8);
    plane.net.split(['a', 'b'], ['c']);
    await Promise.all([count(plane, 'a', 'both'), count(plane, 'c', 'both')]);
    await plane.net.run(1_000);
    for (let n = 0; n < 7; n++) await count(plane, 'b', `${n}`);
    await plane.net.run(OVER_MS, 50);
    for (const id of ['a', 'b']) {
      if (isForgetful) plane.get(id).replica.executor.isStable = () => true;
      const { error } = await count(plane, id, `${id} new`);
      assert.equal(error?.code, isForgetful ? undefined : 'opid_memory_full');
    }
    await plane.net.run(1_000);
    // What they would still send each other commit by commit is gone.
    for (const id of ['a', 'b']) plane.kill(id);
    for (const id of ['a', 'b']) await plane.start(id);
    plane.net.network.healAll();
    const sees = (id: string) => plane.net.get(id).cluster.live().length === 2;
    await plane.net.until(() => IDS.every(sees), 120_000);
    await plane.untilConverged(CONVERGE_LIMIT_MS);
    const read = ({ replica }: { replica: TestReplica }) =>
      replica.ask({ type: 'counter-get', name: 'c' });
    const reads = await Promise.all(IDS.map((id) => read(plane.get(id))));
    plane.stop();
    const more = isForgetful ? 2 : 0;
    return reads.map(({ outcome }) => outcome.number - more);
  }
});

describe('stability', () => {
  const claim = { by: 1, hlc: 0n, incarnation: 'i', seq: 1, commit: 5 };
  const heard = (life: number, commits: number, atMs: number) => ({
    life,
    vector: new Map([['i', commits]]),
    atMs,
  });

  it('is of what was told at or after a time, and is settled since', () => {
    const stability = new Stability();
    assert.equal(stability.isStable(claim, 0, []), true);
    assert.equal(stability.isStable(claim, 0, ['b']), false);
    stability.sample('b', heard(1, 5, 1_000));
    assert.equal(stability.isStable(claim, 0, ['b']), false);
    stability.sample('b', heard(1, 5, 5_000));
    assert.equal(stability.isStable(claim, 0, ['b']), false);
    stability.sample('b', heard(1, 9, 20_000));
    assert.equal(stability.isStable(claim, 1_000, ['b']), true);
    assert.equal(stability.isStable(claim, 1_001, ['b']), false);
    assert.equal(stability.isStable({ ...claim, commit: 6 }, 0, ['b']), false);
    assert.equal(stability.isStable(claim, 0, ['b', 'c']), false);
  });

  it('begins anew with another life, which may have less', () => {
    const stability = new Stability();
    for (const atMs of [0, 10_000]) stability.sample('b', heard(1, 5, atMs));
    assert.equal(stability.isStable(claim, 0, ['b']), true);
    stability.sample('b', heard(2, 5, 20_000));
    assert.equal(stability.isStable(claim, 0, ['b']), false);
  });
});
