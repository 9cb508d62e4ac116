import { type Seeded, seeded } from '@memplane/testkit';
import { keyedDigest } from '../keyed.ts';
import type { ReplicationSettings } from '../replication/ports.ts';
import { isSameVector } from '../replication/vector.ts';
import { Network } from './network.ts';
import type { OpIds } from './op-ids.ts';
import { Oracle } from './oracle.ts';
import { type PlantedBug, Violation } from './planted-bugs.ts';
import { Replica } from './replica.ts';

export interface Run {
  readonly seed: number;
  readonly replicas: number;
  /** What happened, line by line: the same for the same seed. */
  readonly trace: readonly string[];
  /** How many rounds each healing took until all vectors were equal. */
  readonly healingRounds: readonly number[];
  readonly violation: Violation | undefined;
}

const DELIVERIES_MAX = 4;
const ROUND_MS = 10;

/** One run: replicas, operations, faults, healing, checks. Everything follows from the seed. */
export function simulate(seed: number, bug?: PlantedBug, opIds?: OpIds): Run {
  const simulation = new Simulation(seeded(seed), bug, opIds);
  let violation: Violation | undefined;
  try {
    simulation.run();
  } catch (error) {
    if (!(error instanceof Violation)) throw error;
    violation = error;
  }
  const { trace, healingRounds, replicas } = simulation;
  return { seed, trace, healingRounds, replicas: replicas.length, violation };
}

function randomSettings(random: Seeded): ReplicationSettings {
  return {
    vectorIntervalMs: random.int(ROUND_MS, 5 * ROUND_MS),
    apartIntervalMs: 2 * ROUND_MS,
    passOnDelayMs: 1.5 * ROUND_MS,
    resendMs: 2 * ROUND_MS,
    compareDelayMs: 3 * ROUND_MS,
    message_bytes_max: random.int(200, 1200),
    delta_bytes_max: random.int(300, 2000),
    log_entries_max: random.int(4, 24),
    log_bytes_max: random.int(800, 8000),
    joins_max: random.int(1, 8),
    parkedMs: ROUND_MS,
    parked_max: random.int(1, 8),
  };
}

/** From when all see each other, without loss. */
function healingRoundsMax(replicas: number): number {
  return replicas <= 5 ? 3 : Math.ceil(Math.log2(replicas)) + 3;
}

class Simulation {
  readonly trace: string[] = [];
  readonly healingRounds: number[] = [];
  readonly replicas: Replica[];
  readonly #random: Seeded;
  readonly #network: Network;
  readonly #oracle = new Oracle();
  #now = 0;
  readonly #opIds: OpIds | undefined;

  constructor(random: Seeded, bug: PlantedBug | undefined, opIds: OpIds | undefined) {
    this.#random = random;
    this.#opIds = opIds;
    const count = random.int(3, random.chance(0.2) ? (random.chance(0.1) ? 32 : 8) : 5);
    const faults = { loss: random.next() * 0.4, duplication: random.next() * 0.6 };
    this.#network = new Network(count, faults, random);
    const ids = Array.from({ length: count }, (_, id) => id);
    this.replicas = ids.map(
      (id) =>
        new Replica({
          id,
          peers: ids.filter((other) => other !== id),
          random,
          oracle: this.#oracle,
          bug,
          opIds,
          durable: () => this.replicas.map(({ durableKnown }) => durableKnown),
          settings: randomSettings(random),
          now: () => this.#now,
          send: (message) => this.#network.send(message),
          isFaulty: () => this.#network.faults.loss > 0,
          skew: random.int(-60, 60),
        }),
    );
  }

  run(): void {
    const { faults } = this.#network;
    if (this.#random.chance(0.6)) this.#heal();
    for (let phase = this.#random.int(1, 3); phase > 0; phase--) {
      this.#network.faults = faults;
      const steps = this.#random.chance(0.3) ? this.#random.int(0, 8) : this.#random.int(20, 90);
      for (let step = 0; step < steps; step++) this.#step();
      this.#heal();
      this.#check();
      // All is quiet and acknowledged, so what is lost now nobody will send by itself.
      for (const replica of this.replicas) {
        if (this.#random.chance(0.3)) this.#tell('crashes', replica, () => replica.crash());
      }
      if (this.#random.chance(0.5)) this.#heal();
    }
    this.#heal();
    this.#check();
  }

  #check(): void {
    this.#oracle.checkEnd(this.replicas.map(({ state }) => state));
    const [first] = this.replicas;
    if (first !== undefined) this.#opIds?.checkEnd(first.state);
    for (const { state } of this.replicas) this.trace.push(keyedDigest(state).toString(16));
  }

  #step(): void {
    const random = this.#random;
    this.#now += random.int(0, 4);
    const replica = random.pick(this.replicas);
    if (this.#opIds !== undefined) this.#useOpIds(replica);
    const choice = random.next();
    if (choice < 0.4) this.#tell('operates', replica, () => replica.operate());
    else if (choice < 0.43) this.#tell('rewrites', replica, () => replica.rewrite());
    else if (choice < 0.7) this.#tell('ticks', replica, () => replica.tick());
    else if (choice < 0.87) replica.settle();
    else if (choice < 0.95) this.#tell('flushes', replica, () => replica.flush());
    else if (choice < 0.975) this.#tell('crashes', replica, () => replica.crash());
    else if (random.chance(0.5)) this.#tell('is cut', replica, () => this.#network.cut());
    else this.#tell('is healed', replica, () => this.#network.heal());
    for (let n = random.int(0, DELIVERIES_MAX); n > 0; n--) this.#deliver();
  }

  /** Requests are repeated at any replica; a while without any lets ids be forgotten. */
  #useOpIds(replica: Replica): void {
    const random = this.#random;
    if (random.chance(0.4)) this.#tell('counts an id', replica, () => replica.claim());
    if (random.chance(0.05)) this.#now += random.int(50, 400);
    if (random.chance(0.3)) this.#tell('forgets ids', replica, () => replica.forget());
  }

  #tell(what: string, replica: Replica, act: () => void): void {
    this.trace.push(`${this.#now} ${replica.options.id} ${what}`);
    act();
  }

  #deliver(): void {
    if (this.#network.waiting === 0) return;
    const message = this.#network.receive();
    if (message === undefined) return;
    const { from, to, body } = message;
    this.trace.push(`${this.#now} ${from} to ${to} ${body.kind}`);
    this.replicas[to]?.receive(message);
  }

  /** No more faults, and messages in any order, until all have told each other all. */
  #heal(): void {
    this.#network.heal();
    this.#network.faults = { loss: 0, duplication: 0 };
    this.trace.push('heals');
    this.#settle();
    for (const replica of this.replicas) replica.reachesAll();
    // What is found while claims meet is told then.
    const toldRounds = this.#opIds === undefined ? 0 : 3;
    const roundsMax = healingRoundsMax(this.replicas.length) + toldRounds;
    for (let round = 0; round <= roundsMax; round++) {
      if (this.#isConverged()) {
        this.healingRounds.push(round);
        return;
      }
      for (const replica of this.replicas) replica.tick();
      this.#settle();
      this.#now += ROUND_MS;
    }
    throw new Violation('converges in time', `not after ${roundsMax} rounds`);
  }

  #isConverged(): boolean {
    const [first, ...others] = this.replicas;
    if (first === undefined) return true;
    return others.every(({ known }) => isSameVector(known, first.known));
  }

  /** Delivers what is on its way, and what comes of it. */
  #settle(): void {
    const waits = () => this.#network.waiting > 0 || this.replicas.some((it) => it.isJoining);
    while (waits()) {
      this.#deliver();
      for (const replica of this.replicas) replica.settle();
    }
  }
}
