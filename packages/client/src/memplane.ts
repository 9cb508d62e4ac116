import { Appender } from './append.ts';
import { Core } from './core.ts';
import { Counter, type ListedCounter, listCounters, Register, ReplicatedSet } from './crdts.ts';
import { DeadLetters } from './dead-letters.ts';
import { type FeedOptions, type FeedRecord, readFeed } from './feed.ts';
import type { CallOptions } from './http.ts';
import { type HeldLease, type LeaseOptions, withLease } from './leases.ts';
import { Memories } from './memories.ts';
import { type MemplaneOptions, resolveOptions } from './options.ts';
import { listAlerts, listMembers, type ReplicaAlert, type ReplicaMembers } from './replicas.ts';
import { ReplicatedMap } from './replicated-map.ts';
import type { Scope } from './scope.ts';
import type {
  AddOptions,
  Appended,
  EntityReadOptions,
  EntityView,
  EntityZone,
  FoundMemory,
  JsonObject,
  Memory,
  MemoryChangeRecord,
  MemoryUpdate,
  Message,
  NewEvent,
  PastReadOptions,
  ReadOptions,
  RecallQuery,
  SearchAnswer,
  SearchOptions,
} from './types.ts';
import {
  type HistoryOptions,
  type HistoryPage,
  type QueryAnswer,
  type QueryRequest,
  type ReplayRequest,
  Views,
} from './views.ts';

/**
 * An agent's door to a memory plane.
 *
 * Reads include what this client has written (it keeps the token), appends of one tick travel
 * together, and only what can't do harm twice is repeated. Every call takes `signal` and
 * `timeoutMs` and fails with a {@link MemplaneError}.
 */
export class Memplane {
  readonly #core: Core;
  readonly #appender: Appender;
  readonly #views: Views;
  readonly #memories: Memories;
  /** Messages of `agent-inbox` that could never be appended; for operators. */
  readonly deadLetters: DeadLetters;

  constructor(options: MemplaneOptions = {}) {
    this.#core = new Core(resolveOptions(options));
    this.#appender = new Appender(this.#core);
    this.#views = new Views(this.#core);
    this.#memories = new Memories(this.#core, this.#appender, this.#views);
    this.deadLetters = new DeadLetters(this.#core);
  }

  /**
   * Appends events; they are durable when this resolves. Those of one entity keep their order. An
   * array is checked whole before anything of it is appended, as long as it fits in one batch
   * (`batch_events_max`, `batch_bytes_max`); a longer one goes in several, one after the other.
   */
  append(event: NewEvent, options?: CallOptions): Promise<Appended>;
  append(events: readonly NewEvent[], options?: CallOptions): Promise<Appended[]>;
  async append(
    events: NewEvent | readonly NewEvent[],
    options: CallOptions = {},
  ): Promise<Appended | Appended[]> {
    const isList = Array.isArray(events) as boolean;
    const list = isList ? (events as readonly NewEvent[]) : [events as NewEvent];
    const appended = await this.#appender.append(list, options);
    return isList ? appended : (appended[0] as Appended);
  }

  /**
   * One request of its own: a finished JSON array of `count` ≤ 1,000 events that all have ids.
   * For importers, which keep order and bounds themselves.
   */
  appendText(bodyText: string, count: number, options: CallOptions = {}): Promise<Appended[]> {
    return this.#appender.sendText(bodyText, count, options);
  }

  /**
   * Does something as the one holder of a lease, which is renewed meanwhile and released at the end.
   * `held.signal` is aborted when the lease's time is over, counted from the sending of the last
   * renewal: from then on another one may hold it. What is appended with `held.guard` is refused
   * (`stale_fencing_token`) once a newer holder is there, whatever this process believes.
   * @throws MemplaneError `lease_held`, and what `work` throws
   */
  withLease<T>(
    name: string,
    work: (held: HeldLease) => Promise<T> | T,
    options: LeaseOptions = {},
  ): Promise<T> {
    return withLease(this.#core, name, work, options);
  }

  /** The consistency zone of an entity, and the rule that says so. */
  async zone(entity: string, options: CallOptions = {}): Promise<EntityZone> {
    const how = { service: 'event-ingest', method: 'GET', path: '/v1/zones' } as const;
    const call = { ...options, ...how, query: { entity }, repeat: 'always' } as const;
    return (await this.#core.http.json(call)) as EntityZone;
  }

  /** Hands an event to the sidecar's `agent-inbox`: accepted, but not yet durable. Dapr only. */
  publish(event: NewEvent, options: CallOptions = {}): Promise<{ id: string }> {
    return this.#appender.publish(event, options);
  }

  /** Remembers a text, or each message of a conversation, within a scope. */
  add(text: string, options: AddOptions): Promise<Memory>;
  add(messages: readonly Message[], options: AddOptions): Promise<Memory[]>;
  async add(
    input: string | readonly Message[],
    options: AddOptions,
  ): Promise<Memory | readonly Memory[]> {
    const added = await this.#memories.add(input, options);
    return typeof input === 'string' ? (added[0] as Memory) : added;
  }

  /** The best memories for a question, in a scope (a filter on all that is given) or everywhere. */
  search(query: string | undefined, options: SearchOptions = {}): Promise<FoundMemory[]> {
    return this.#memories.search(query, options);
  }

  /** A memory by its id (`kind/id#memoryId`), or null. */
  get(id: string, options: PastReadOptions = {}): Promise<Memory | null> {
    return this.#memories.get(id, options);
  }

  /**
   * All memories of the scope's entity whose metadata agree with the rest of the scope. Memories
   * that were added with a wider scope live with that scope's first id: `search` finds them too.
   */
  getAll(scope: Scope, options: PastReadOptions = {}): Promise<Memory[]> {
    return this.#memories.getAll(scope, options);
  }

  /**
   * Replaces the text, merges metadata (`null` removes a member, what is not mentioned stays),
   * keeps the embedding while the text stays, and the end of its life. Of two concurrent updates
   * the later one wins. @throws MemplaneError `not_found`
   */
  update(id: string, change: string | MemoryUpdate, options: CallOptions = {}): Promise<Memory> {
    const update = typeof change === 'string' ? { text: change } : change;
    return this.#memories.update(id, update, options);
  }

  /** Forgets a memory; one that is not there stays so. Its history is kept. */
  async delete(id: string, options: CallOptions = {}): Promise<void> {
    await this.#memories.delete(id, options);
  }

  /** Forgets all that `getAll` shows. @returns how many */
  async deleteAll(scope: Scope, options: CallOptions = {}): Promise<{ deleted: number }> {
    return { deleted: await this.#memories.deleteAll(scope, options) };
  }

  /** How a memory came about and changed, oldest first; also after it was deleted. */
  history(id: string, options: ReadOptions = {}): Promise<MemoryChangeRecord[]> {
    return this.#memories.history(id, options);
  }

  /** The view of an entity, also in the past; null for one without events. */
  entity(entity: string, options: EntityReadOptions = {}): Promise<EntityView | null> {
    return this.#views.entity(entity, options);
  }

  /** One page of an entity's events, in order; null for one without events. */
  entityHistory(entity: string, options: HistoryOptions = {}): Promise<HistoryPage | null> {
    return this.#views.history(entity, options);
  }

  /** Entities whose attributes match. */
  query(request: QueryRequest): Promise<QueryAnswer> {
    return this.#views.query(request);
  }

  /** The whole answer of a search: offsets, positions and all. */
  recall(request: RecallQuery): Promise<SearchAnswer> {
    return this.#views.recall(request);
  }

  /** An event by its id. @throws MemplaneError `not_found`, `ambiguous_id` */
  event(id: string, options: ReadOptions & { entity?: string } = {}): Promise<JsonObject> {
    const { entity, ...rest } = options;
    return this.#views.event(id, entity, rest);
  }

  /** The causes and effects of an event, as a graph. */
  trace(id: string, options: ReadOptions & { entity?: string } = {}): Promise<JsonObject> {
    const { entity, ...rest } = options;
    return this.#views.trace(id, entity, rest);
  }

  /** A replay in a sandbox: its result and its difference to live. Waits until it has ended. */
  replay(request: ReplayRequest, options: CallOptions = {}): Promise<JsonObject> {
    return this.#views.replay(request, options);
  }

  replayState(id: string, options: CallOptions = {}): Promise<JsonObject> {
    return this.#views.replayState(id, options);
  }

  shards(options: CallOptions = {}): Promise<JsonObject> {
    return this.#views.shards(options);
  }

  counter(name: string): Counter {
    return new Counter(this.#core, name);
  }

  /** All counters with their values, by name. */
  counters(options: ReadOptions = {}): AsyncGenerator<ListedCounter> {
    return listCounters(this.#core, options);
  }

  /** The replicas of counters, sets and registers, as the one that answers sees them. */
  members(options: CallOptions = {}): Promise<ReplicaMembers> {
    return listMembers(this.#core, options);
  }

  /** What an operator of counters, sets and registers should look at, newest first. */
  alerts(options: CallOptions = {}): Promise<ReplicaAlert[]> {
    return listAlerts(this.#core, options);
  }

  set(name: string): ReplicatedSet {
    return new ReplicatedSet(this.#core, name);
  }

  register(name: string): Register {
    return new Register(this.#core, name);
  }

  /** A map of counters, sets, registers and further maps. */
  map(name: string): ReplicatedMap {
    return new ReplicatedMap(this.#core, name);
  }

  /** Follows one partition of `agent-events` or `memory-views`; resumes by itself. */
  feed(topic: string, options: FeedOptions): AsyncGenerator<FeedRecord> {
    return readFeed(this.#core, topic, options);
  }

  /** What a read of another client must include to see all that this one has written. */
  get token(): string | undefined {
    return this.#core.cut.token;
  }

  /** The same for what it has written to counters, sets and registers. */
  get sessionToken(): string | undefined {
    return this.#core.session.token;
  }

  /** From here on reads include what that token stands for, of whichever kind it is. */
  observe(token: string): void {
    if (token.startsWith('mct_')) this.#core.session.observe(token);
    else this.#core.cut.observe(token);
  }

  forgetToken(): void {
    this.#core.cut.forget();
    this.#core.session.forget();
  }
}
