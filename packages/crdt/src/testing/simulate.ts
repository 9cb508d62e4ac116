import { type Seeded, seeded } from '@memplane/testkit';
import { decodeInterval, encodeInterval } from '../delta-codec.ts';
import { decodeKeyed, encodeKeyed, keyedDigest } from '../keyed.ts';
import { type Message, Network } from './network.ts';
import { Oracle } from './oracle.ts';
import { type PlantedBug, Violation } from './planted-bugs.ts';
import { Replica } from './replica.ts';

export interface Run {
  readonly seed: number;
  /** What happened, line by line: the same for the same seed. */
  readonly trace: readonly string[];
  readonly violation: Violation | undefined;
}

const DELIVERIES_MAX = 4;
const HEALING_ROUNDS_MAX = 60;

/** One run: replicas, operations, faults, healing, checks. Everything follows from the seed. */
export function simulate(seed: number, bug?: PlantedBug): Run {
  const simulation = new Simulation(seeded(seed), bug);
  let violation: Violation | undefined;
  try {
    simulation.run();
  } catch (error) {
    if (!(error instanceof Violation)) throw error;
    violation = error;
  }
  return { seed, trace: simulation.trace, violation };
}

class Simulation {
  readonly trace: string[] = [];
  readonly #random: Seeded;
  readonly #network: Network;
  readonly #replicas: Replica[];
  readonly #oracle = new Oracle();
  readonly #isDirect: boolean;
  /** Whether messages go through their encoding. */
  readonly #isEncoded: boolean;
  #now = 0;

  constructor(random: Seeded, bug: PlantedBug | undefined) {
    this.#random = random;
    const count = random.int(3, random.chance(0.2) ? 8 : 5);
    const faults = { loss: random.next() * 0.4, duplication: random.next() * 0.6 };
    this.#isDirect = random.chance(0.25) || bug === 'akka-22890';
    this.#isEncoded = random.chance(0.1);
    this.#network = new Network(count, faults, random);
    const ids = Array.from({ length: count }, (_, id) => id);
    this.#replicas = ids.map(
      (id) =>
        new Replica({
          id,
          peers: ids.filter((other) => other !== id),
          random,
          oracle: this.#oracle,
          bug,
          isDirect: this.#isDirect,
          entries_max: random.int(4, 24),
          bytes_max: random.int(800, 8000),
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
      for (const replica of this.#replicas) {
        if (this.#random.chance(0.3)) this.#tell('crashes', replica, () => replica.crash());
      }
      if (this.#random.chance(0.5)) this.#heal();
    }
    this.#heal();
    this.#check();
  }

  #check(): void {
    this.#oracle.checkEnd(this.#replicas.map(({ state }) => state));
    for (const { state } of this.#replicas) this.trace.push(keyedDigest(state).toString(16));
  }

  #step(): void {
    const random = this.#random;
    this.#now += random.int(0, 4);
    const replica = random.pick(this.#replicas);
    const choice = random.next();
    if (choice < 0.4) this.#tell('operates', replica, () => replica.operate(this.#now));
    else if (choice < 0.43) this.#tell('rewrites', replica, () => replica.rewrite(this.#now));
    else if (choice < 0.87) this.#send(replica, random.pick(replica.options.peers));
    else if (choice < 0.95) this.#tell('flushes', replica, () => replica.flush());
    else if (choice < 0.975) this.#tell('crashes', replica, () => replica.crash());
    else if (random.chance(0.5)) this.#tell('is cut', replica, () => this.#network.cut());
    else this.#tell('is healed', replica, () => this.#network.heal());
    for (let n = random.int(0, DELIVERIES_MAX); n > 0; n--) this.#deliver();
  }

  #tell(what: string, replica: Replica, act: () => void): void {
    this.trace.push(`${this.#now} ${replica.options.id} ${what}`);
    act();
  }

  #send(replica: Replica, to: number): boolean {
    const message = replica.outgoing(to);
    if (message !== undefined) this.#network.send(message);
    return message !== undefined;
  }

  #deliver(): void {
    if (this.#network.waiting === 0) return;
    const message = this.#network.receive();
    if (message === undefined) return;
    const { from, to, body } = message;
    this.trace.push(`${this.#now} ${from} to ${to} ${body.kind}`);
    const answer = this.#replicas[to]?.receive(this.#isEncoded ? overTheWire(message) : message);
    if (answer !== undefined) this.#network.send(answer);
  }

  /** No more faults, and messages in any order, until nobody has anything to send. */
  #heal(): void {
    this.#network.heal();
    this.#network.faults = { loss: 0, duplication: 0 };
    this.trace.push('heals');
    while (this.#network.waiting > 0) this.#deliver();
    // What one lost and another has is passed on by nobody in this mode, as by any gossip of deltas.
    if (this.#isDirect) for (const replica of this.#replicas) replica.forgetAll();
    for (let round = 0; round < HEALING_ROUNDS_MAX; round++) {
      let isQuiet = true;
      for (const replica of this.#replicas) {
        for (const peer of replica.options.peers) {
          if (this.#send(replica, peer)) isQuiet = false;
          while (this.#network.waiting > 0) this.#deliver();
        }
      }
      if (isQuiet) return;
    }
    throw new Violation('quiet after healing', `not after ${HEALING_ROUNDS_MAX} rounds`);
  }
}

function overTheWire(message: Message): Message {
  const { body } = message;
  if (body.kind === 'ack') return message;
  if (body.kind === 'state') {
    return { ...message, body: { ...body, state: decodeKeyed(encodeKeyed(body.state)) } };
  }
  const bytes = encodeInterval(body.interval, encodeKeyed);
  return { ...message, body: { kind: 'interval', interval: decodeInterval(bytes, decodeKeyed) } };
}
