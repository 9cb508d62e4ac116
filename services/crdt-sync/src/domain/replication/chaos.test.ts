import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type OrMapState, readCounterField } from '@memplane/crdt';
import { GOOD_NETWORK } from '@memplane/gossip/testing/simulated-network';
import { figure, scaled, seeded, testSeed } from '@memplane/testkit';
import { SimulatedPlane } from './simulated-plane.ts';

const RUNS = scaled('replica_chaos_runs', { ci: 60, soak: 3_000 });
const { seed } = testSeed('replica chaos');
const STEPS = 60;
const CONVERGE_LIMIT_MS = 3_000;

/** What was acknowledged to the one who asked: it must be there at the end. */
interface Acknowledged {
  counter: number;
  /** To a counter in a map. */
  inMap: number;
  commands: number;
}

/** Replicas that are cut off, killed, emptied and started again, under load on all sides. */
class Chaos {
  readonly plane: SimulatedPlane;
  readonly #ids: readonly string[];
  readonly #acknowledged: Acknowledged = { counter: 0, inMap: 0, commands: 0 };
  readonly #random;

  constructor(runSeed: number) {
    this.#random = seeded(runSeed);
    this.#ids = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'].slice(0, this.#random.int(2, 6));
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
    this.plane.net.network.healAll();
    this.plane.net.network.conditions = GOOD_NETWORK;
    for (const id of this.#ids) if (!this.plane.replicas.has(id)) await this.plane.start(id);
    const all = this.#ids.length - 1;
    const sees = (id: string) => this.plane.net.get(id).cluster.live().length === all;
    await this.plane.net.until(() => this.#ids.every(sees), 120_000);
    const took = await this.plane.untilConverged(CONVERGE_LIMIT_MS);
    for (const id of this.#ids) {
      const { counter } = (await this.plane.get(id).replica.read('acknowledged')) as {
        counter: [number, unknown];
      };
      assert.equal(counter[0], this.#acknowledged.counter);
      const { outcome } = await this.plane.get(id).replica.ask({ type: 'map-get', name: 'mapped' });
      const inMap = readCounterField(outcome.value as OrMapState, ['in', 'sum']);
      assert.equal(Number(inMap), this.#acknowledged.inMap);
    }
    this.plane.stop();
    return took;
  }

  async #step(): Promise<void> {
    const random = this.#random;
    const choice = random.next();
    const id = random.pick(this.#ids);
    const isUp = this.plane.replicas.has(id);
    if (choice < 0.6) {
      if (isUp) this.#operate(id);
    } else if (choice < 0.68) {
      const [one, other] = [random.pick(this.#ids), random.pick(this.#ids)];
      if (one !== other) this.plane.net.cut([one], [other]);
    } else if (choice < 0.74) this.plane.net.network.healAll();
    else if (choice < 0.84) {
      if (isUp && this.plane.replicas.size > 1) this.plane.kill(id);
      else if (!isUp) await this.plane.start(id);
    }
    await this.plane.net.run(random.int(0, 600));
  }

  #operate(id: string): void {
    const { replica } = this.plane.get(id);
    const random = this.#random;
    const by = random.int(1, 9);
    void replica.ask({ type: 'increment', name: 'acknowledged', by }).then(({ error }) => {
      if (error === undefined) this.#acknowledged.counter += by;
      this.#acknowledged.commands++;
    });
    const place = { type: 'counter', path: ['in', 'sum'] } as const;
    void replica.ask({ type: 'map-increment', name: 'mapped', by, place }).then(({ error }) => {
      if (error === undefined) this.#acknowledged.inMap += by;
    });
    const element = `e${random.int(1, 12)}`;
    const type = random.pick(['set-add', 'set-add', 'set-remove', 'set-reset'] as const);
    void replica.ask({ type, name: 's', elements: [element] });
    void replica.ask({ type: 'register-put', name: `r${random.int(1, 3)}`, value: by });
  }
}

describe('replicas that are cut off, killed and started again', () => {
  it(`have the same in the end, and all that was acknowledged, ${RUNS} runs`, async () => {
    const took: number[] = [];
    for (let run = 0; run < RUNS; run++) {
      const runSeed = seed + run;
      try {
        took.push(await new Chaos(runSeed).run());
      } catch (cause) {
        throw new Error(`run ${run}, MEMPLANE_TEST_SEED=${runSeed}`, { cause });
      }
    }
    took.sort((a, b) => a - b);
    const at = (part: number) => took[Math.ceil(part * took.length) - 1] ?? 0;
    figure('all have the same once they see each other, p50', at(0.5), 'ms');
    figure('all have the same once they see each other, p99', at(0.99), 'ms');
    figure('all have the same once they see each other, at most', at(1), 'ms');
  });
});
