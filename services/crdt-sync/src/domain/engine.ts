import type { HybridClock } from '@memplane/clock';
import { MemplaneError } from '@memplane/contracts';
import type { Incarnation } from '@memplane/crdt';
import { type ApplyLimits, apply, flushIncrements, type Replica } from './apply.ts';
import { type Command, isRead } from './command.ts';
import type { Change, CrdtStore, IncarnationRecord, Ref } from './port.ts';
import type { CommitVector } from './session-token.ts';
import { Slot } from './slot.ts';
import { SlotCache } from './slot-cache.ts';

export interface EngineOptions extends ApplyLimits {
  readonly replicaId: string;
  readonly store: CrdtStore;
  readonly clock: HybridClock;
  /** Random 32 hex digits, a new one at each call. */
  readonly newIncarnation: () => Incarnation;
  /** Those that the store has from before. */
  readonly incarnations: readonly IncarnationRecord[];
  readonly toError: (cause: unknown) => MemplaneError;
  /** Commands that may wait; more are refused `overloaded`. */
  readonly queued_commands_max: number;
  /** Commands that share one commit. */
  readonly batch_commands_max: number;
  readonly hot_bytes_max: number;
  /** Scans that may run at once; more wait. */
  readonly scans_max: number;
}

export interface EngineStats {
  commits: number;
  committedCommands: number;
  failedCommits: number;
}

/**
 * The one writer of a replica's store. Commands are done in the order in which they came, many a
 * batch: what arrives while a batch is made durable waits and shares the next one's sync. Nothing
 * is answered before the batch is durable, reads of its values included.
 */
export class Engine {
  readonly stats: EngineStats = { commits: 0, committedCommands: 0, failedCommits: 0 };
  readonly #options: EngineOptions;
  readonly #slots: SlotCache;
  #queue: Command[] = [];
  #running = false;
  #incarnation: Incarnation;
  #commits = 0;
  #storageFailure: MemplaneError | undefined;
  readonly #past: Map<Incarnation, number>;
  #scans = 0;
  #closed = false;
  #idle: (() => void)[] = [];
  #scanEnded: (() => void)[] = [];

  constructor(options: EngineOptions) {
    this.#options = options;
    this.#slots = new SlotCache(options.hot_bytes_max);
    this.#incarnation = options.newIncarnation();
    this.#past = new Map(options.incarnations.map((it) => [it.incarnation, it.commits]));
  }

  get incarnation(): Incarnation {
    return this.#incarnation;
  }

  /** Commits of the present incarnation. */
  get commits(): number {
    return this.#commits;
  }

  /** All that is durable here. */
  commitVector(): CommitVector {
    return new Map([...this.#past, [this.#incarnation, this.#commits]]);
  }

  /** Why the last commit failed; undefined when it did not. */
  get storageFailure(): MemplaneError | undefined {
    return this.#storageFailure;
  }

  get queued(): number {
    return this.#queue.length;
  }

  get hotNames(): number {
    return this.#slots.size;
  }

  /** @throws MemplaneError `overloaded`, `shutting_down`; then `settled` is never called. */
  submit(command: Command): void {
    if (this.#closed) throw new MemplaneError('shutting_down', 'The service is ending.');
    if (this.#queue.length >= this.#options.queued_commands_max) {
      throw new MemplaneError('overloaded', 'Too many commands wait for the disk.', {
        retryAfterMs: 100,
        extra: { limit: 'queued_commands_max', max: this.#options.queued_commands_max },
      });
    }
    this.#queue.push(command);
    if (this.#running) return;
    this.#running = true;
    // After this turn's other arrivals, so that they share the sync from the first one on.
    setImmediate(() => void this.#run());
  }

  /** Takes no more commands, and waits until those taken are settled. */
  async drain(): Promise<void> {
    this.#closed = true;
    if (this.#running) await new Promise<void>((resolve) => this.#idle.push(resolve));
    while (this.#scans > 0) await new Promise<void>((resolve) => this.#scanEnded.push(resolve));
  }

  async #run(): Promise<void> {
    while (this.#queue.length > 0) {
      const batch = this.#take();
      await this.#runBatch(batch);
    }
    this.#running = false;
    for (const resolve of this.#idle.splice(0)) resolve();
  }

  /** A batch ends with a scan, since what comes behind a scan must not show in it. */
  #take(): Command[] {
    const queue = this.#queue;
    const max = Math.min(queue.length, this.#options.batch_commands_max);
    let end = 0;
    while (end < max) if (queue[end++]?.type === 'scan') break;
    if (end === queue.length) {
      this.#queue = [];
      return queue;
    }
    return queue.splice(0, end);
  }

  async #runBatch(batch: readonly Command[]): Promise<void> {
    let slots: Map<string, Slot>;
    try {
      slots = await this.#load(batch);
    } catch (cause) {
      // Some of the hot names may have been half prepared for this batch.
      this.#slots.clear();
      this.#settleAll(batch, this.#options.toError(cause));
      return;
    }
    let changes: Change[];
    try {
      changes = this.#apply(batch, slots);
      if (changes.length > 0 || this.#isProbed(batch)) await this.#commit(changes);
    } catch (cause) {
      await this.#recover(batch, cause);
      return;
    }
    if (changes.length > 0) {
      this.stats.committedCommands += batch.length;
      for (const [key, slot] of slots) if (slot.dirty) this.#slots.put(key, slot);
    }
    for (const slot of slots.values()) slot.endBatch();
    this.#settleAll(batch, undefined);
  }

  /** Finds all that the batch's commands need: three reads of the store at most, however many. */
  async #load(batch: readonly Command[]): Promise<Map<string, Slot>> {
    const { store } = this.#options;
    const slots = new Map<string, Slot>();
    const missing = new Map<string, Ref>();
    let last: Slot | undefined;
    for (const command of batch) {
      if (command.type === 'scan' || command.type === 'nothing') continue;
      if (command.type === 'probe') continue;
      // Commands on one name come in runs: that spares most look-ups of a hot one.
      if (last?.ref.name === command.name && last.ref.tenant === command.tenant) {
        command.slot = last;
        continue;
      }
      const key = keyOf(command);
      last = slots.get(key) ?? this.#slots.get(key);
      command.slot = last;
      if (last !== undefined) slots.set(key, last);
      else missing.set(key, { tenant: command.tenant, name: command.name });
    }
    if (missing.size > 0) {
      const loaded = await store.load([...missing.values()]);
      let index = 0;
      for (const [key, ref] of missing) {
        const found = loaded[index++];
        if (found === undefined) throw new Error('the store answered too little');
        const slot = new Slot(ref, found);
        this.#slots.put(key, slot);
        slots.set(key, slot);
      }
      for (const command of batch) command.slot ??= slots.get(keyOf(command));
    }
    await Promise.all([loadElements(store, batch), loadOps(store, batch)]);
    return slots;
  }

  #isProbed(batch: readonly Command[]): boolean {
    return this.#storageFailure !== undefined && batch.some(({ type }) => type === 'probe');
  }

  #apply(batch: readonly Command[], slots: ReadonlyMap<string, Slot>): Change[] {
    const { replicaId: id, clock } = this.#options;
    const replica: Replica = { id, incarnation: this.#incarnation, clock };
    for (const command of batch) {
      const { slot } = command;
      if (slot === undefined) continue;
      try {
        apply(command, slot, replica, this.#options);
      } catch (cause) {
        command.error = this.#options.toError(cause);
      }
    }
    const changes: Change[] = [];
    for (const slot of slots.values()) {
      if (!slot.dirty) continue;
      flushIncrements(slot, replica);
      changes.push(...slot.changes());
    }
    return changes;
  }

  async #commit(changes: readonly Change[]): Promise<void> {
    const { store, clock } = this.#options;
    const number = this.#commits + 1;
    await store.commit({ incarnation: this.#incarnation, number, hlc: clock.last, changes });
    this.#commits = number;
    this.#storageFailure = undefined;
    this.stats.commits++;
  }

  /**
   * A commit failed, and may be there or not. So nothing in memory counts any more, no dot of this
   * incarnation may be given again, mutations fail, and reads are done again on what is stored.
   */
  async #recover(batch: readonly Command[], cause: unknown): Promise<void> {
    this.stats.failedCommits++;
    this.#slots.clear();
    // One without a commit that is known to be there is in no token: failures must not add up.
    if (this.#commits > 0) this.#past.set(this.#incarnation, this.#commits);
    this.#incarnation = this.#options.newIncarnation();
    this.#commits = 0;
    const error = this.#options.toError(cause);
    this.#storageFailure = error;
    const reads = batch.filter(isRead);
    this.#settleAll(
      batch.filter((command) => !isRead(command)),
      error,
    );
    for (const read of reads) {
      read.error = undefined;
      read.slot = undefined;
    }
    if (reads.length > 0) await this.#runBatch(reads);
  }

  #settleAll(batch: readonly Command[], error: MemplaneError | undefined): void {
    for (const command of batch) {
      command.slot = undefined;
      if (error !== undefined) command.error = error;
      if (command.type === 'scan' && command.error === undefined) void this.#scan(command);
      else command.settled(command);
    }
  }

  /** Runs a scan beside the batches that follow. */
  async #scan(command: Command): Promise<void> {
    if (this.#scans >= this.#options.scans_max) {
      command.error = new MemplaneError('overloaded', 'Too many scans are under way.', {
        retryAfterMs: 100,
        extra: { limit: 'scans_max', max: this.#options.scans_max },
      });
      command.settled(command);
      return;
    }
    this.#scans++;
    try {
      command.outcome.value = await command.scan?.();
    } catch (cause) {
      command.error = this.#options.toError(cause);
    } finally {
      this.#scans--;
      for (const resolve of this.#scanEnded.splice(0)) resolve();
    }
    command.settled(command);
  }
}

/** Neither a tenant nor a name has a zero byte. */
function keyOf(command: Command): string {
  return `${command.tenant}\0${command.name}`;
}

async function loadElements(store: CrdtStore, batch: readonly Command[]): Promise<void> {
  const wants: { ref: Ref; element: string; slot: Slot }[] = [];
  for (const command of batch) {
    if (command.elements.length === 0) continue;
    const { slot } = command;
    // An empty set has no elements to find.
    if (slot === undefined || slot.set.elements === 0) continue;
    for (const element of command.elements) wants.push({ ref: slot.ref, element, slot });
  }
  if (wants.length === 0) return;
  const found = await store.loadElements(wants);
  wants.forEach(({ slot, element }, index) => {
    const dots = found[index];
    if (dots !== undefined) slot.elements.set(element, dots);
  });
}

async function loadOps(store: CrdtStore, batch: readonly Command[]): Promise<void> {
  const wants: { ref: Ref; opId: string; slot: Slot }[] = [];
  for (const command of batch) {
    if (command.opId === undefined) continue;
    const { slot } = command;
    if (slot !== undefined) wants.push({ ref: slot.ref, opId: command.opId, slot });
  }
  if (wants.length === 0) return;
  const found = await store.loadOps(wants);
  wants.forEach(({ slot, opId }, index) => {
    const record = found[index];
    if (record !== undefined) slot.opRecords.set(opId, record);
  });
}
