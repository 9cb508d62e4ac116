import { Memplane, type NewEvent } from '@memplane/client';
import { clusteredVectors, eventKey, percentile, type Seeded } from '@memplane/testkit';
import { newCrashLoad, newEvent } from '../faults/crash-load.ts';
import { COUNTER } from '../stack/fault-load.ts';

export type Operation = 'append' | 'read' | 'count';

/** One call with all its repetitions, as an agent sees it. */
interface Sample {
  readonly operation: Operation;
  /** When it was due, in ms. */
  readonly atMs: number;
  /** From then until its answer. */
  readonly tookMs: number;
}

const READS = 0.4;
const COUNTS = 0.15;
const ERRORS_MAX = 100;
const AGENTS = 16;
const REMEMBERED_MAX = 400;

/**
 * What agents do, through the client and the sidecar: append, read with the token of all they have
 * written, count. Calls come when they are due, however long earlier ones take (an open loop).
 */
export class UpgradeLoad {
  readonly appends = newCrashLoad(clusteredVectors({ seed: 43 }));
  readonly increments = { acknowledged: 0, next: 0 };
  /** Calls that failed in spite of all repetitions, and answers that were wrong. */
  readonly errors: string[] = [];
  readonly #samples: Sample[] = [];
  readonly #random: Seeded;
  readonly #agents: readonly Memplane[];
  readonly #pending = new Set<Promise<void>>();
  #timer: NodeJS.Timeout | undefined;

  constructor(agent: { readonly endpoint: string; readonly apiToken: string }, random: Seeded) {
    this.#random = random;
    this.#agents = Array.from({ length: AGENTS }, () => new Memplane({ dapr: agent }));
  }

  /** As many as get through for so long, each after the other. @returns calls a second */
  async peak(ms: number): Promise<number> {
    const end = performance.now() + ms;
    let done = 0;
    const work = async (agent: Memplane) => {
      for (; performance.now() < end; done++) await this.#call(agent, performance.now());
    };
    await Promise.all(this.#agents.map(work));
    return (done * 1_000) / ms;
  }

  start(perSecond: number): void {
    let due = performance.now();
    const everyMs = 1_000 / perSecond;
    let next = 0;
    this.#timer = setInterval(() => {
      for (; due <= performance.now(); due += everyMs) {
        const agent = this.#agents[next++ % this.#agents.length]!;
        const call = this.#call(agent, due).finally(() => this.#pending.delete(call));
        this.#pending.add(call);
      }
    }, 5);
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await Promise.all(this.#pending);
  }

  /** How long calls took that were due in a span of time. */
  quantile(operation: Operation, from: number, to: number, p: number): number {
    return percentile(
      this.#samples.flatMap((one) =>
        one.operation === operation && one.atMs >= from && one.atMs < to ? [one.tookMs] : [],
      ),
      p,
    );
  }

  countOf(from: number, to: number): number {
    return this.#samples.filter(({ atMs }) => atMs >= from && atMs < to).length;
  }

  async #call(agent: Memplane, atMs: number): Promise<void> {
    const drawn = this.#random.next();
    const canRead = this.appends.answered.length > 0;
    const operation: Operation =
      drawn < COUNTS ? 'count' : drawn < COUNTS + READS && canRead ? 'read' : 'append';
    try {
      if (operation === 'append') await this.#append(agent);
      else if (operation === 'count') await this.#count(agent);
      else await this.#read(agent);
    } catch (error) {
      if (this.errors.length < ERRORS_MAX) this.errors.push(`${operation}: ${error}`);
    }
    this.#samples.push({ operation, atMs, tookMs: performance.now() - atMs });
  }

  async #append(agent: Memplane): Promise<void> {
    const event = newEvent(this.appends, this.#random);
    this.appends.ledger.send([event]);
    const accepted = await agent.append(event as NewEvent);
    this.appends.ledger.acknowledge([accepted]);
    this.appends.answered.push({ events: [event], token: accepted.token });
    if (this.appends.answered.length > REMEMBERED_MAX) this.appends.answered.shift();
  }

  /** Of what any of the agents has appended: with its token it is there. */
  async #read(agent: Memplane): Promise<void> {
    const { events, token } = this.#random.pick(this.appends.answered);
    const [event] = events;
    const acks = this.appends.ledger.acknowledged.get(eventKey(event!.entity, event!.id)) ?? [];
    const view = await agent.entity(event!.entity, { after: token });
    const expected = Math.max(...acks.map(({ offset }) => offset));
    const found = view?.asOf.offset ?? -1;
    if (found < expected) {
      throw new Error(`${event!.entity} is shown at ${found}, after an append at ${expected}`);
    }
  }

  async #count(agent: Memplane): Promise<void> {
    const opId = `op${this.increments.next++}`;
    await agent.counter(COUNTER).increment(1, { opId });
    this.increments.acknowledged++;
  }
}
