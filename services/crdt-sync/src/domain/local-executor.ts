import type { HybridClock } from '@memplane/clock';
import { MemplaneError } from '@memplane/contracts';
import {
  type CommitRange,
  type Incarnation,
  type ReplicaDelta,
  replicaDeltaLattice,
} from '@memplane/crdt';
import { type ApplyLimits, apply, type Replica } from './apply.ts';
import { broughtBy, type Command, type CommitId } from './command.ts';
import { deltaKeyOf } from './delta-key.ts';
import { CommitFailure, type Executor, type ReplicatedExecutor } from './executor.ts';
import { KnownVector } from './known-vector.ts';
import { loadCleared, loadElements, loadOps, opIdsBrought } from './loading.ts';
import { deltaOfChanges, type LocalCommit } from './local-commit.ts';
import { type IsStable, OpForgetting } from './op-forgetting.ts';
import type { Change, CrdtStore, IncarnationRecord, Ref } from './port.ts';
import type { CommitVector } from './session-token.ts';
import { Slot } from './slot.ts';
import { SlotCache } from './slot-cache.ts';
import { flushIncrements } from './slot-changes.ts';

export interface LocalExecutorOptions extends ApplyLimits {
  readonly replicaId: string;
  readonly store: CrdtStore;
  readonly clock: HybridClock;
  /** Random 32 hex digits, a new one at each call. */
  readonly newIncarnation: () => Incarnation;
  /** Those that the store has from before. */
  readonly incarnations: readonly IncarnationRecord[];
  readonly toError: (cause: unknown) => MemplaneError;
  /** Commands that share one commit. */
  readonly batch_commands_max: number;
  readonly hot_bytes_max: number;
  readonly opid_memory_ms: number;
  readonly hlc_drift_max_ms: number;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

/** The one writer of a store, so that what it keeps in memory is what the store has. */
export class LocalExecutor implements Executor, ReplicatedExecutor {
  readonly batch_commands_max: number;
  readonly failure = undefined;
  /**
   * Told of each commit of this replica's own making, once that is durable and before its commands
   * are settled. Must not throw. Replaced where somebody wants to know.
   */
  onCommit: ((commit: LocalCommit) => void) | undefined = undefined;
  isStable: IsStable | undefined = undefined;
  /** Told of commits that were found durable though writing them had failed. */
  onFound: ((ranges: readonly CommitRange[]) => void) | undefined = undefined;
  /** Never called: nobody else takes away what is in the store. */
  onNewState: (() => void) | undefined = undefined;
  /** The incarnation of a commit that failed: it may be there all the same. */
  #doubtful: Incarnation | undefined = undefined;
  readonly #options: LocalExecutorOptions;
  readonly #slots: SlotCache;
  readonly #vector: KnownVector;
  readonly #forgetting: OpForgetting;
  #incarnation: Incarnation;
  #commits = 0;

  constructor(options: LocalExecutorOptions) {
    this.#options = options;
    this.batch_commands_max = options.batch_commands_max;
    this.#slots = new SlotCache(options.hot_bytes_max);
    this.#forgetting = new OpForgetting(options);
    this.#incarnation = options.newIncarnation();
    const past = options.incarnations.map((it) => [it.incarnation, it.commits] as const);
    this.#vector = new KnownVector([...past, [this.#incarnation, 0]]);
  }

  get incarnation(): Incarnation {
    return this.#incarnation;
  }

  get hotNames(): number {
    return this.#slots.size;
  }

  /** Up to which commit of each incarnation all is durable here; no copy, so it changes. */
  get known(): CommitVector {
    return this.#vector.all;
  }

  async commitVector(): Promise<CommitVector> {
    return this.#vectorOf(this.known);
  }

  get shown(): CommitVector {
    return this.#vector.shown;
  }

  async shownVector(): Promise<CommitVector> {
    return this.#vectorOf(this.shown);
  }

  expect(theirs: CommitVector): void {
    this.#vector.expect(theirs);
  }

  /**
   * Takes note that commits of others are durable here, from `after` to `upTo` of each range. It
   * becomes durable itself with the next commit.
   */
  advance(ranges: readonly CommitRange[]): void {
    this.#vector.advance(this.#ofOthers(ranges));
  }

  #ofOthers(ranges: readonly CommitRange[]): CommitRange[] {
    return ranges.filter(({ incarnation }) => incarnation !== this.#incarnation);
  }

  onAdvance(listener: (known: CommitVector) => void): () => void {
    return this.#vector.listen(listener);
  }

  async flush(): Promise<void> {
    if (!this.#vector.isDurable) await this.#write(undefined, []);
  }

  async run(batch: readonly Command[], mustWrite: boolean): Promise<boolean> {
    if (this.#doubtful !== undefined) await this.#settleDoubt(this.#doubtful);
    const [first] = batch;
    if (first?.type === 'discard') return this.#discard(first);
    let slots: Map<string, Slot>;
    try {
      slots = await this.#load(batch);
    } catch (cause) {
      // Some of the hot names may have been half prepared for this batch.
      this.#slots.clear();
      throw cause;
    }
    try {
      const changes = this.#apply(batch, slots);
      const isWritten = changes.length > 0 || mustWrite;
      if (isWritten) {
        const isJoined = batch[0]?.type === 'join';
        const told = isJoined ? foundIn(slots.values()) : 'all';
        const commit = await this.#commit(changes, told, broughtBy(batch));
        if (!isJoined) for (const command of batch) command.commit = commit;
      }
      if (changes.length > 0) {
        for (const [key, slot] of slots) if (slot.dirty) this.#slots.put(key, slot);
      }
      for (const slot of slots.values()) slot.endBatch();
      return isWritten;
    } catch (cause) {
      this.#begin();
      throw new CommitFailure(cause);
    }
  }

  /** Finds all that the batch's commands need: a read of a kind, but for resets that are joined. */
  async #load(batch: readonly Command[]): Promise<Map<string, Slot>> {
    const { store } = this.#options;
    const slots = new Map<string, Slot>();
    const missing = new Map<string, Ref>();
    const damaged = new Map<string, MemplaneError>();
    let last: Slot | undefined;
    for (const command of batch) {
      if (command.type === 'scan') continue;
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
        if (found.damaged !== undefined) {
          damaged.set(key, found.damaged);
          continue;
        }
        const slot = new Slot(ref, found);
        this.#slots.put(key, slot);
        slots.set(key, slot);
      }
      for (const command of batch) {
        if (command.slot !== undefined) continue;
        const key = keyOf(command);
        command.slot = slots.get(key);
        command.error = damaged.get(key);
      }
    }
    const [usesOps] = await Promise.all([
      loadOps(store, batch),
      loadElements(store, batch),
      loadCleared(store, batch),
    ]);
    if (usesOps) await this.#forget(batch);
    return slots;
  }

  /** Makes room in the memories of operation ids that the batch adds to. */
  async #forget(batch: readonly Command[]): Promise<void> {
    for (const [slot, count] of opIdsBrought(batch)) {
      const { opCount = 0, ref } = slot;
      if (!this.#forgetting.isDue(opCount + count)) continue;
      // Where making room fails, what wants to be written fails too, and what is read does not.
      const forgetting = this.#forgetting.forget(ref, this.isStable ?? isAlone);
      slot.opCount = opCount - (await forgetting.catch(() => 0));
    }
  }

  /**
   * What others have of the value may be older than what was lost here: the dots of before must not
   * be given again, so a new incarnation begins.
   */
  async #discard(command: Command): Promise<boolean> {
    const { store } = this.#options;
    const { discards } = command;
    if (discards === undefined) throw new MemplaneError('internal', 'Nothing to discard.');
    try {
      await store.discard(discards, { tenant: command.tenant, name: command.name });
    } catch (cause) {
      throw new CommitFailure(cause);
    } finally {
      this.#begin();
    }
    return true;
  }

  #apply(batch: readonly Command[], slots: ReadonlyMap<string, Slot>): Change[] {
    const { replicaId: id, clock } = this.#options;
    const commit = this.#commits + 1;
    const replica: Replica = { id, incarnation: this.#incarnation, clock, commit };
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

  /**
   * Only what this replica tells the others has a number: one that they will ask for. That is what it
   * has changed by itself, and what it has found when it joined in what others say.
   */
  async #commit(
    changes: readonly Change[],
    told: ReplicaDelta | 'all' | undefined,
    brought: readonly CommitRange[],
  ): Promise<CommitId | undefined> {
    if (changes.length === 0 || told === undefined) {
      await this.#write(undefined, changes, brought);
      return undefined;
    }
    const { incarnation } = this;
    const number = this.#commits + 1;
    const hlc = this.#options.clock.last;
    await this.#write(number, changes, brought);
    this.#commits = number;
    this.#vector.set(incarnation, number);
    this.onCommit?.({
      incarnation,
      number,
      hlc,
      delta: told === 'all' ? deltaOfChanges(changes) : told,
    });
    return { incarnation, number };
  }

  /** The current incarnation comes last: a token that is too long keeps the end. */
  #vectorOf(commits: CommitVector): CommitVector {
    const vector = new Map(commits);
    vector.delete(this.#incarnation);
    return vector.set(this.#incarnation, this.#commits);
  }

  /** @param ranges what others committed, and is here with this write */
  #write(
    number: number | undefined,
    changes: readonly Change[],
    ranges: readonly CommitRange[] = [],
  ): Promise<void> {
    const { store, clock } = this.#options;
    const { incarnation } = this;
    return this.#vector.write((raised, brought) => {
      const known = new Map([...raised, ...brought]);
      return store.commit({ incarnation, number, hlc: clock.last, changes, known });
    }, this.#ofOthers(ranges));
  }

  /** Others would never ask for a commit that the vector does not have. */
  async #settleDoubt(incarnation: Incarnation): Promise<void> {
    const stored = await this.#options.store.incarnations();
    this.#doubtful = undefined;
    const upTo = stored.find((it) => it.incarnation === incarnation)?.commits ?? 0;
    const after = this.known.get(incarnation) ?? 0;
    if (upTo <= after) return;
    this.#vector.set(incarnation, upTo);
    this.onFound?.([{ incarnation, after, upTo }]);
  }

  /** Nothing in memory counts any more, and no dot of this incarnation may be given again. */
  #begin(): void {
    this.#slots.clear();
    // One without a commit that is known to be there is in no token: failures must not add up.
    if (this.#commits === 0) this.#vector.forget(this.#incarnation);
    this.#doubtful = this.#incarnation;
    this.#incarnation = this.#options.newIncarnation();
    this.#commits = 0;
    this.#vector.set(this.#incarnation, 0);
  }
}

/** What joins have found, and nobody may know; undefined where it is nothing. */
function foundIn(slots: Iterable<Slot>): ReplicaDelta | undefined {
  let delta: ReplicaDelta | undefined;
  for (const { ref, found } of slots) {
    if (found === undefined) continue;
    delta ??= replicaDeltaLattice.bottom();
    delta.counters.set(deltaKeyOf(ref), found);
  }
  return delta;
}

const isAlone = () => true;

/** Neither a tenant nor a name has a zero byte. */
function keyOf(command: Command): string {
  return `${command.tenant}\0${command.name}`;
}
