import { MemplaneError } from '@memplane/contracts';
import type { Versioned } from '@memplane/runtime/strong';
import {
  type AppendEnd,
  type AppendOrder,
  appendAllProgram,
  clearProgram,
  readProgram,
} from './append-program.ts';
import { decodeHead, encodeHead, headKey, withoutIntent } from './head.ts';
import { type Lease, leaseKey } from './lease.ts';
import {
  endGuardProgram,
  forgetEntitiesProgram,
  freeProgram,
  raiseProgram,
  takeProgram,
} from './lease-program.ts';
import { Observations } from './observations.ts';
import type { Effect, EntityName, Located, Program } from './program.ts';

/** Bugs that the simulation has to find. */
export type PlantedBug =
  | 'clears before it produces'
  | 'looks for no nonce'
  | 'raises after the answer'
  | 'takes over by wall clock'
  | 'follows an unfinished intent'
  | 'refuses by what it saw long ago';

const TENANT = 'default';
const INSTANCES = 3;
const ENTITIES = ['a/1', 'a/2'];
const LEASE = 'l';
const TTL_MS = 400;
const OPERATIONS = 40;
const STEPS_MAX = 20_000;

interface Logged {
  readonly entity: string;
  readonly id: string;
  readonly digest: string;
  readonly sequence: number;
}

interface Instance {
  readonly observations: Observations;
  /** What it read or wrote last. */
  readonly seen: Map<string, Versioned>;
  /** Against true time. */
  readonly rate: number;
  wallOffsetMs: number;
}

interface Holding {
  readonly token: number;
  readonly untilMs: number;
}

interface Task {
  readonly instance: number;
  readonly program: Program<unknown>;
  /** What one write of the head may decide. */
  readonly orders: readonly AppendOrder[];
  /** Who calls: one thing at a time. */
  readonly holder: string | undefined;
  readonly onAnswer: (answer: unknown) => void;
  /** What the next step is given. */
  input: unknown;
  error: Error | undefined;
  isStarted: boolean;
}

/**
 * Several instances at work on two strong entities and one lease, in one thread: each step of each
 * program is chosen by a seed, and so is what happens to it: answers that are lost, writes that come
 * late, instances that end between any two steps. What must hold is checked as it happens; what was
 * broken is thrown as an Error.
 */
export class SimulatedStrong {
  readonly #random: () => number;
  readonly #bug: PlantedBug | undefined;
  readonly #store = new Map<string, { value: string; version: string }>();
  readonly #log: Logged[] = [];
  readonly #late: { key: string; value: string; version: string | undefined; by: Task }[] = [];
  readonly #instances: Instance[];
  #tasks: Task[] = [];
  #version = 0;
  #names = 0;
  #nowMs = 0;
  /** Of each entity: the highest token of an answer, and whether its guard ended. */
  readonly #granted = new Map<string, { token: number; guards: boolean }>();
  readonly #acknowledged = new Map<string, number>();
  readonly #holdings = new Map<string, Holding>();
  /** What the simulation went through, to see that it is worth something. */
  readonly seen = {
    ...{ appended: 0, grouped: 0, duplicates: 0, conflicts: 0, stale: 0, granted: 0, taken: 0 },
  };

  constructor(random: () => number, bug?: PlantedBug) {
    this.#random = random;
    this.#bug = bug;
    this.#instances = Array.from({ length: INSTANCES }, () => ({
      observations: new Observations(100),
      seen: new Map(),
      rate: 0.997 + random() * 0.006,
      wallOffsetMs: 0,
    }));
  }

  run(): void {
    let operations = 0;
    for (let step = 0; step < STEPS_MAX; step++) {
      if (operations >= OPERATIONS && this.#tasks.length === 0) break;
      this.#nowMs += this.#random() * 20;
      if (operations < OPERATIONS && (this.#tasks.length < 5 || this.#chance(0.1))) {
        this.#begin();
        operations++;
      }
      if (this.#chance(0.02)) this.#crash();
      if (this.#chance(0.02)) this.#jump();
      if (this.#late.length > 0 && this.#chance(0.3)) this.#land();
      const task = this.#tasks[this.#below(this.#tasks.length)];
      if (task !== undefined) this.#step(task);
    }
    this.#finish();
  }

  // What is going on -------------------------------------------------------------------------

  #begin(): void {
    const kind = this.#below(10);
    if (kind < 6) this.#beginAppend();
    else if (kind < 8) this.#beginTake();
    else if (kind === 8) this.#beginRelease();
    else this.#beginRead();
  }

  /** Mostly one; else several that waited, without an id in common. */
  #beginAppend(): void {
    const entity = ENTITIES[this.#below(ENTITIES.length)] as string;
    const acknowledged = this.#acknowledged.get(entity) ?? 0;
    const ids = new Set<string>();
    const orders: [AppendOrder, ...AppendOrder[]] = [this.#newOrder(entity, ids)];
    while (this.#chance(0.3)) {
      const next = this.#newOrder(entity, ids);
      if (next.events.length > 0) orders.push(next);
    }
    this.seen.grouped += orders.length - 1;
    const onAnswer = (answer: unknown) => {
      for (const [i, end] of (answer as readonly AppendEnd[]).entries()) {
        const order = orders[i] as AppendOrder;
        if ('error' in end) this.#refused(order, acknowledged, end.error);
        else this.#appended(order, acknowledged, end.places);
      }
    };
    this.#add(appendAllProgram(orders), { orders, onAnswer });
  }

  /** @param taken ids that its events may not have */
  #newOrder(entity: string, taken: Set<string>): AppendOrder {
    const isFresh = this.#chance(0.4);
    const ids = Array.from({ length: 1 + this.#below(2) }, (_, i) =>
      isFresh ? `f${this.#names++}` : `${this.#below(14)}.${i}`,
    ).filter((id) => !taken.has(id));
    for (const id of ids) taken.add(id);
    const token = this.#chance(0.5) ? 1 + this.#below(this.#newestToken() + 1) : undefined;
    return {
      tenant: TENANT,
      entity,
      nonce: `n${this.#names++}`,
      zones: 1,
      bytes: 1,
      events: ids.map((id) => ({
        id,
        digest: `${id}-digest`,
        isFresh,
        textAt: (sequence: number) => String(sequence),
      })),
      expectedSequence: this.#chance(0.3) ? this.#decided(entity) - this.#below(2) : undefined,
      ...(token === undefined ? {} : { lease: LEASE, fencingToken: token }),
    };
  }

  /** As the service does: take the lease, raise the heads, answer. */
  #beginTake(): void {
    const holder = `h${this.#below(3)}`;
    if (this.#isBusy(holder)) return;
    const entities = this.#chance(0.8) ? ENTITIES.slice(0, 1 + this.#below(2)) : [];
    const request = { name: LEASE, holder, ttlMs: TTL_MS, entities, nonce: `n${this.#names++}` };
    const sentMs = this.#nowMs;
    const before = this.#newestToken();
    const answer = (lease: Lease) => this.#holds(holder, lease, sentMs, before);
    const program = function* (isLate: boolean): Program<Lease | undefined> {
      let taken = yield* takeProgram(TENANT, request);
      for (let asked = 1; taken.kind === 'held'; asked++) {
        if (asked === 12) return undefined;
        yield { do: 'pause', attempt: asked };
        taken = yield* takeProgram(TENANT, request);
      }
      const { lease } = taken;
      if (isLate) answer(lease);
      for (const entity of lease.entities) {
        yield* raiseProgram({ tenant: TENANT, entity }, 1, LEASE, lease.token);
      }
      return lease;
    };
    this.#add(program(this.#bug === 'raises after the answer'), {
      holder,
      onAnswer: (lease) => lease !== undefined && answer(lease as Lease),
    });
  }

  #beginRelease(): void {
    const [holder, holding] = [...this.#holdings].at(this.#below(3)) ?? [];
    if (holder === undefined || holding === undefined || this.#isBusy(holder)) return;
    const { token } = holding;
    // It stops before it says so.
    this.#holdings.delete(holder);
    for (const entity of ENTITIES) {
      const granted = this.#granted.get(entity);
      if (granted?.token === token) this.#granted.set(entity, { token, guards: false });
    }
    const nonce = `n${this.#names++}`;
    const program = function* (): Program<void> {
      const lease = yield* freeProgram(TENANT, LEASE, { fencingToken: token }, nonce);
      for (const entity of lease.entities) {
        yield* endGuardProgram({ tenant: TENANT, entity }, LEASE, token);
      }
      yield* forgetEntitiesProgram(TENANT, LEASE, token);
    };
    this.#add(program(), { holder });
  }

  #beginRead(): void {
    const of: EntityName = { tenant: TENANT, entity: ENTITIES[this.#below(2)] as string };
    const acknowledged = this.#acknowledged.get(of.entity) ?? 0;
    const program = function* (): Program<number> {
      const { sequence = 0, nonce } = yield* readProgram(of, 1);
      if (nonce !== undefined) yield* clearProgram(of, nonce);
      return sequence;
    };
    this.#add(program(), {
      onAnswer: (sequence) => {
        if ((sequence as number) < acknowledged) throw new Error('a read went back');
        if (this.#view(of.entity).length < (sequence as number)) throw new Error('not in the log');
      },
    });
  }

  #add(program: Program<unknown>, of: Partial<Pick<Task, 'orders' | 'holder' | 'onAnswer'>>): void {
    const { orders = [], holder, onAnswer = () => {} } = of;
    const instance = this.#below(INSTANCES);
    const how = { input: undefined, error: undefined, isStarted: false };
    this.#tasks.push({ instance, program, orders, holder, onAnswer, ...how });
  }

  // Steps ------------------------------------------------------------------------------------

  #step(task: Task): void {
    let next: IteratorResult<Effect, unknown>;
    try {
      next = task.error ? task.program.throw(task.error) : task.program.next(task.input);
    } catch (error) {
      if (!(error instanceof MemplaneError)) throw error;
      this.#tasks = this.#tasks.filter((other) => other !== task);
      return;
    }
    task.error = undefined;
    if (next.done) {
      this.#tasks = this.#tasks.filter((other) => other !== task);
      task.onAnswer(next.value);
      return;
    }
    try {
      task.input = this.#do(next.value, task);
    } catch (error) {
      if (!(error instanceof MemplaneError)) throw error;
      task.error = error;
    }
  }

  #do(effect: Effect, task: Task): unknown {
    switch (effect.do) {
      case 'get':
        if (this.#chance(0.02)) throw new MemplaneError('no_quorum', 'lost');
        return this.#get(effect, task.instance);
      case 'write':
        return this.#tryWrite(effect, task);
      case 'produce':
        if (this.#bug === 'clears before it produces') this.#clear(effect.of);
        if (
          this.#bug === 'follows an unfinished intent' &&
          !task.orders.some(({ nonce }) => nonce === effect.intent.nonce)
        )
          return effect.intent.events.map(() => ({ partition: 0, offset: 0, hlc: 0n }));
        return this.#produce(effect.of.entity, effect.intent.events);
      case 'saw':
        return undefined;
      case 'sequence':
        return this.#view(effect.of.entity).length;
      case 'locate':
        return this.#locate(effect.of.entity, effect.id);
      case 'expired':
        return this.#isExpired(effect, task.instance);
      case 'pause':
        return undefined;
    }
  }

  #get({ key, mayBeOld }: Effect & { do: 'get' }, number: number): unknown {
    const { seen } = this.#instances[number] as Instance;
    const isOldGood = mayBeOld || this.#bug === 'refuses by what it saw long ago';
    const before = seen.get(key);
    if (isOldGood && before !== undefined && this.#chance(0.7)) return before;
    const stored = this.#read(key);
    if (stored !== undefined) seen.set(key, stored);
    return stored;
  }

  #read(key: string): Versioned | undefined {
    const stored = this.#store.get(key);
    if (this.#bug !== 'looks for no nonce' || stored === undefined) return stored;
    if (!key.includes('.head.')) return stored;
    const head = decodeHead(stored.value);
    const recent = head.recent.map((batch) => ({
      ...batch,
      ids: batch.ids.map(() => ['', ''] as const),
    }));
    return { ...stored, value: encodeHead({ ...head, recent }) };
  }

  #tryWrite(effect: Effect & { do: 'write' }, task: Task): unknown {
    const { key, value, version } = effect;
    const luck = this.#random();
    if (luck < 0.06) {
      this.#late.push({ key, value, version, by: task });
      return { kind: 'unknown' };
    }
    if (luck < 0.1) return { kind: 'unknown' };
    const isWritten = this.#write(key, value, version, task);
    if (luck < 0.2) return { kind: 'unknown' };
    return isWritten
      ? { kind: 'written', version: this.#store.get(key)?.version }
      : { kind: 'conflict' };
  }

  #write(key: string, value: string, version: string | undefined, by: Task): boolean {
    if (this.#store.get(key)?.version !== version) return false;
    const before = this.#store.get(key);
    this.#store.set(key, { value, version: String(++this.#version) });
    const [first] = by.orders;
    if (first && key === headKey(first)) this.#decidedBy(by.orders, before?.value, value);
    return true;
  }

  #produce(entity: string, events: readonly { id: string; digest: string; text: string }[]) {
    if (this.#chance(0.05)) throw new MemplaneError('storage_unavailable', 'lost');
    const places = events.map(({ id, digest, text }) => {
      this.#log.push({ entity, id, digest, sequence: Number(text) });
      return { partition: 0, offset: this.#log.length - 1, hlc: 0n };
    });
    if (this.#chance(0.05)) throw new MemplaneError('storage_unavailable', 'its answer was lost');
    return places;
  }

  #locate(entity: string, id: string): Located | undefined {
    const found = this.#view(entity).findIndex((event) => event.id === id);
    if (found < 0) return undefined;
    const { digest } = this.#view(entity)[found] as Logged;
    return { partition: 0, offset: 0, hlc: 0n, digest, sequence: found + 1 };
  }

  #isExpired({ key, version, ttlMs }: Effect & { do: 'expired' }, number: number): boolean {
    const instance = this.#instances[number] as Instance;
    const steady = this.#nowMs * instance.rate;
    const isWall = this.#bug === 'takes over by wall clock';
    const nowMs = isWall ? steady + instance.wallOffsetMs : steady;
    return instance.observations.isUnchangedFor(key, version, ttlMs, nowMs);
  }

  // Misfortunes ------------------------------------------------------------------------------

  /** An instance ends in the midst of everything; one with its name begins anew. */
  #crash(): void {
    const gone = this.#below(INSTANCES);
    this.#tasks = this.#tasks.filter(({ instance }) => instance !== gone);
    const instance = this.#instances[gone] as Instance;
    const nothing = { observations: new Observations(100), seen: new Map() };
    this.#instances[gone] = { ...instance, ...nothing };
  }

  #jump(): void {
    const instance = this.#instances[this.#below(INSTANCES)] as Instance;
    instance.wallOffsetMs += this.#random() * 10_000;
  }

  /** A write whose sender has given it up arrives. */
  #land(): void {
    const [write] = this.#late.splice(this.#below(this.#late.length), 1);
    if (write) this.#write(write.key, write.value, write.version, write.by);
  }

  #clear(of: EntityName): void {
    const stored = this.#store.get(headKey(of));
    if (stored === undefined) return;
    const value = encodeHead(withoutIntent(decodeHead(stored.value)));
    this.#store.set(headKey(of), { value, version: String(++this.#version) });
  }

  // What must hold ---------------------------------------------------------------------------

  /** Appends got into the head: from now on they happen. */
  #decidedBy(orders: readonly AppendOrder[], before: string | undefined, value: string): void {
    const head = decodeHead(value);
    if (before !== undefined && decodeHead(before).sequence === head.sequence) return;
    const added = new Set((head.intent?.events ?? []).map(({ id }) => id));
    for (const { entity, fencingToken, events } of orders) {
      const granted = this.#granted.get(entity);
      if (granted === undefined || !events.some(({ id }) => added.has(id))) continue;
      if (fencingToken !== undefined && fencingToken < granted.token) {
        throw new Error(`token ${fencingToken} got in after ${granted.token} was given out`);
      }
      if (fencingToken === undefined && granted.guards) {
        throw new Error('an append without a token got in');
      }
    }
  }

  #appended(order: AppendOrder, acknowledged: number, answer: unknown): void {
    const { entity, events, expectedSequence } = order;
    const places = answer as { sequence: number; duplicate: boolean }[];
    const view = this.#view(entity);
    for (const [i, { sequence, duplicate }] of places.entries()) {
      if (view[sequence - 1]?.id !== events[i]?.id) throw new Error('answered another sequence');
      if (duplicate) this.seen.duplicates++;
      else this.seen.appended++;
      if (!duplicate && sequence <= acknowledged) throw new Error('ordered before what was told');
      const top = Math.max(sequence, this.#acknowledged.get(entity) ?? 0);
      this.#acknowledged.set(entity, top);
    }
    const [first] = places;
    if (expectedSequence === undefined || first === undefined) return;
    const isAll = places.every(({ duplicate }) => !duplicate);
    if (isAll && first.sequence !== expectedSequence + 1) throw new Error('appended elsewhere');
  }

  #refused(order: AppendOrder, acknowledged: number, error: MemplaneError): void {
    if (error.code === 'stale_fencing_token') this.seen.stale++;
    if (error.code !== 'sequence_conflict') return;
    this.seen.conflicts++;
    const current = error.extra['currentSequence'] as number;
    if (current < acknowledged) throw new Error('a conflict with what is long past');
    if (current > this.#decided(order.entity)) throw new Error('a conflict with what is not');
  }

  #holds(holder: string, lease: Lease, sentMs: number, before: number): void {
    for (const [other, holding] of this.#holdings) {
      if (other !== holder && holding.untilMs > this.#nowMs && holding.token < lease.token) {
        throw new Error(`${holder} was given a lease that ${other} still holds`);
      }
    }
    this.seen.granted++;
    if (lease.token > before) this.seen.taken++;
    const mine = this.#holdings.get(holder);
    if ((mine?.token ?? 0) <= lease.token) {
      const untilMs = Math.max(sentMs + TTL_MS, mine?.token === lease.token ? mine.untilMs : 0);
      this.#holdings.set(holder, { token: lease.token, untilMs });
    }
    for (const entity of lease.entities) {
      const granted = this.#granted.get(entity);
      const isNewer = granted === undefined || granted.token < lease.token;
      if (isNewer) this.#granted.set(entity, { token: lease.token, guards: true });
    }
  }

  #finish(): void {
    for (const entity of ENTITIES) {
      const view = this.#view(entity);
      for (const [i, { sequence, id }] of view.entries()) {
        if (sequence !== i + 1) throw new Error(`${entity}: ${id} is ${i + 1}, says ${sequence}`);
      }
      if (view.length < (this.#acknowledged.get(entity) ?? 0)) throw new Error('an event is lost');
    }
  }

  /** Each id once, in the order of the log. */
  #view(entity: string): Logged[] {
    const ids = new Set<string>();
    return this.#log.filter((event) => {
      if (event.entity !== entity || ids.has(event.id)) return false;
      ids.add(event.id);
      return true;
    });
  }

  #decided(entity: string): number {
    const stored = this.#store.get(headKey({ tenant: TENANT, entity }));
    return stored === undefined ? 0 : decodeHead(stored.value).sequence;
  }

  #newestToken(): number {
    const stored = this.#store.get(leaseKey(TENANT, LEASE));
    return stored === undefined ? 0 : (JSON.parse(stored.value) as Lease).token;
  }

  #isBusy(holder: string): boolean {
    return this.#tasks.some((task) => task.holder === holder);
  }

  #chance(probability: number): boolean {
    return this.#random() < probability;
  }

  #below(max: number): number {
    return Math.floor(this.#random() * max);
  }
}
