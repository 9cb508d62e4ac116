import { setTimeout as sleep } from 'node:timers/promises';
import { LostAnswer, type Seeded } from '@memplane/testkit';
import type { Act, Side } from './act.ts';
import type { CounterMemory } from './counter-memory.ts';
import type { Fleet } from './fleet.ts';
import { COUNTERS, type Memory, REGISTERS, SETS } from './memory.ts';
import type { Replica } from './replica.ts';

const WORKERS_PER_REPLICA = 2;
const PAUSE_MS = [10, 60] as const;
const DOWN_PAUSE_MS = 20;
/** Elements that all rounds share, and so add and remove again and again. */
const SHARED_ELEMENTS = 40;
const OP_IDS_KEPT = 200;
const ACKNOWLEDGED_KEPT = 2_000;

/** An increment with an operation id. */
interface Increment {
  readonly counter: string;
  readonly opId: string;
  readonly by: number;
  readonly replica: string;
  /** When all replicas were last found equal before it. */
  readonly epoch: number;
  readonly endMs: number;
}

/** What a replica has acknowledged. */
interface Acknowledged {
  readonly act: Act;
  /** Of an increment. */
  readonly counter?: CounterMemory | undefined;
  readonly by: number;
}

/** Counters, sets and registers are changed on all sides, and what was answered is remembered. */
export class Load {
  readonly wrong: string[] = [];
  readonly counts = { done: 0, unknown: 0, duplicates: 0, doubted: 0 };
  /** On which side of a cut a replica is at the moment. */
  sideOf: (id: string) => Side | undefined = () => undefined;
  readonly #fleet: Fleet;
  readonly #memory: Memory;
  /** Answered ones: said again, they count no more. */
  #counted: Increment[] = [];
  /** Not answered ones: said again, they count once. */
  #unanswered: Increment[] = [];
  /** Which replicas have lost all, and when: until all are equal again nothing is known there. */
  readonly #emptied = new Map<string, number>();
  /** How often a replica lost a tail. */
  readonly #lives = new Map<string, number>();
  /** Of the present epoch, and what was acknowledged in the last seconds before it. */
  #acknowledged: Acknowledged[] = [];
  #number = 0;
  #isStopped = true;
  #running: Promise<unknown> = Promise.resolve();

  constructor(fleet: Fleet, memory: Memory) {
    this.#fleet = fleet;
    this.#memory = memory;
  }

  start(random: Seeded, ids: readonly string[]): void {
    this.#isStopped = false;
    this.#acknowledged = this.#acknowledged.slice(-ACKNOWLEDGED_KEPT);
    const workers = ids.flatMap((id, i) =>
      Array.from({ length: WORKERS_PER_REPLICA }, (_, worker) =>
        this.#work(id, random.fork(i * WORKERS_PER_REPLICA + worker)),
      ),
    );
    this.#running = Promise.all(workers);
  }

  /** A replica has lost all that it had. */
  emptied(id: string): void {
    this.#emptied.set(id, this.#memory.epoch);
  }

  /**
   * What a replica has acknowledged since then may be lost, and what it had from others too: until
   * all are equal again nothing is known there.
   */
  lostTail(id: string, sinceMs: number): void {
    this.emptied(id);
    this.#lives.set(id, (this.#lives.get(id) ?? 0) + 1);
    const isLost = (replica: string, endMs: number) => replica === id && endMs >= sinceMs;
    for (const { act, by, counter } of this.#acknowledged) {
      if (!act.isDone || !isLost(act.replica, act.endMs)) continue;
      act.isDone = false;
      // What all were found equal with is at the others.
      if (act.epoch === this.#memory.epoch) counter?.doubt(by);
      this.counts.doubted++;
    }
    const lost = this.#counted.filter(({ replica, endMs, epoch }) => {
      return epoch === this.#memory.epoch && isLost(replica, endMs);
    });
    this.#counted = this.#counted.filter((one) => !lost.includes(one));
    this.#unanswered.push(...lost);
  }

  /** Nothing is under way any more when it resolves. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#running;
  }

  async #work(id: string, random: Seeded): Promise<void> {
    while (!this.#isStopped) {
      if (this.#fleet.ids.includes(id)) {
        await this.#actOnce(this.#fleet.at(id), random);
        await sleep(random.int(...PAUSE_MS));
      } else await sleep(DOWN_PAUSE_MS);
    }
  }

  #actOnce(replica: Replica, random: Seeded): Promise<void> {
    const kind = random.next();
    if (kind < 0.4) return this.#increment(replica, random);
    if (kind < 0.65) return this.#change(replica, random, 'adds');
    if (kind < 0.78) return this.#change(replica, random, 'removes');
    if (kind < 0.79) return this.#reset(replica, random);
    if (kind < 0.93) return this.#write(replica, random);
    return this.#repeat(replica, random);
  }

  async #increment(replica: Replica, random: Seeded): Promise<void> {
    const counter = random.pick(COUNTERS);
    const by = random.chance(0.3) ? -random.int(1, 9) : random.int(1, 9);
    const opId = random.chance(0.5) ? `op-${this.#number++}` : undefined;
    const body = opId === undefined ? { by } : { by, opId };
    const found = await this.#act(replica, 'POST', `/v1/counters/${counter}/increments`, body);
    if (found === undefined) return;
    const { act, answer } = found;
    if (answer?.['duplicate'] === true) this.wrong.push(`${opId} at ${replica.id} was never used`);
    const memory = this.#memory.counters.get(counter);
    memory?.record(act, by);
    this.#acknowledged.push({ act, by, counter: memory });
    if (opId === undefined) return;
    const { endMs, epoch } = act;
    const increment = { counter, opId, by, replica: replica.id, epoch, endMs };
    if (act.isDone) this.#counted = [...this.#counted.slice(-OP_IDS_KEPT), increment];
    else this.#unanswered.push(increment);
  }

  /** Once more with the same id, where it is certain that the first one is known. */
  async #repeat(replica: Replica, random: Seeded): Promise<void> {
    const { epoch } = this.#memory;
    if (this.#emptied.get(replica.id) === epoch) return;
    const isKnown = (one: Increment) => one.replica === replica.id || one.epoch < epoch;
    const unanswered = this.#unanswered.find(isKnown);
    const counted = this.#counted.filter(isKnown);
    const again = unanswered ?? (counted.length === 0 ? undefined : random.pick(counted));
    if (again === undefined) return;
    this.#unanswered = this.#unanswered.filter((one) => one !== again);
    const { counter, opId, by } = again;
    const body = { by, opId };
    const found = await this.#act(replica, 'POST', `/v1/counters/${counter}/increments`, body);
    const isDuplicate = found?.answer?.['duplicate'] === true;
    if (isDuplicate) this.counts.duplicates++;
    const memory = this.#memory.counters.get(counter);
    if (again !== unanswered) {
      if (found?.act.isDone && !isDuplicate) {
        this.wrong.push(`${opId} at ${replica.id} was counted twice: ${JSON.stringify(again)}`);
      }
      return;
    }
    if (found === undefined) this.#unanswered.push(again);
    else if (again.epoch === epoch) {
      if (found.act.isDone) {
        memory?.confirm(by);
        this.#acknowledged.push({ act: found.act, by, counter: memory });
      } else this.#unanswered.push(again);
    } else if (!isDuplicate) {
      // What all were found equal with has it already, if the first was done.
      memory?.record(found.act, by);
      this.#acknowledged.push({ act: found.act, by, counter: memory });
      if (!found.act.isDone) this.#unanswered.push({ ...again, replica: replica.id, epoch });
    }
  }

  async #change(replica: Replica, random: Seeded, what: 'adds' | 'removes'): Promise<void> {
    const name = random.pick(SETS);
    const isShared = random.chance(0.6);
    const { epoch } = this.#memory;
    const element = isShared
      ? `shared-${random.int(1, SHARED_ELEMENTS)}`
      : `of-${epoch}-${random.int(1, SHARED_ELEMENTS)}`;
    const found = await this.#act(replica, 'POST', `/v1/sets/${name}/${what}`, { element });
    if (found === undefined) return;
    const memory = this.#memory.sets.get(name);
    this.#acknowledged.push({ act: found.act, by: 0 });
    if (what === 'adds') memory?.added(element, found.act);
    else memory?.removed(element, found.act);
  }

  async #reset(replica: Replica, random: Seeded): Promise<void> {
    const name = random.pick(SETS);
    const found = await this.#act(replica, 'DELETE', `/v1/sets/${name}`);
    if (found === undefined) return;
    this.#acknowledged.push({ act: found.act, by: 0 });
    this.#memory.sets.get(name)?.reset(found.act);
  }

  async #write(replica: Replica, random: Seeded): Promise<void> {
    const name = random.pick(REGISTERS);
    const value = `${this.#number++} by ${replica.id}`;
    const found = await this.#act(replica, 'PUT', `/v1/registers/${name}`, { value });
    if (found === undefined) return;
    this.#acknowledged.push({ act: found.act, by: 0 });
    this.#memory.registers.get(name)?.wrote(JSON.stringify(value), found.act);
  }

  /** Undefined where nothing was done for certain. */
  async #act(
    replica: Replica,
    method: string,
    path: string,
    body?: unknown,
  ): Promise<{ act: Act; answer: Record<string, unknown> | undefined } | undefined> {
    const { id } = replica;
    const side = this.sideOf(id);
    const [startMs, { epoch }] = [performance.now(), this.#memory];
    const isBehind = this.#emptied.get(id) === epoch;
    const life = this.#lives.get(id) ?? 0;
    const actOf = (isDone: boolean): Act => {
      const isSame = this.sideOf(id) === side;
      const endMs = performance.now();
      const sideThen = isSame ? side : undefined;
      const isSameLife = (this.#lives.get(id) ?? 0) === life;
      return {
        replica: id,
        startMs,
        endMs,
        isDone: isDone && isSameLife,
        life,
        epoch,
        isBehind,
        side: sideThen,
      };
    };
    try {
      const answer = await replica.ask<Record<string, unknown>>(method, path, { body });
      if (answer.status === 503 && this.#fleet.wasStorageDownSince(id, startMs)) {
        this.counts.unknown++;
        return { act: actOf(false), answer: undefined };
      }
      if (answer.status !== 200) {
        this.wrong.push(`${id} ${method} ${path}: ${answer.status} ${answer.text.slice(0, 500)}`);
        return undefined;
      }
      this.counts.done++;
      return { act: actOf(true), answer: answer.body };
    } catch (error) {
      if (!(error instanceof LostAnswer)) throw error;
      if (error.message.endsWith('ECONNREFUSED')) return undefined;
      if (this.#fleet.ids.includes(id) && this.#fleet.at(id) === replica) {
        this.wrong.push(`${id} runs and gave no answer: ${error.message}`);
      }
      this.counts.unknown++;
      return { act: actOf(false), answer: undefined };
    }
  }
}
