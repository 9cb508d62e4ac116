import { MemplaneError } from '@memplane/contracts';
import type { Cancel, Timers } from '@memplane/gossip';
import type { StrongStore, Versioned } from '@memplane/runtime/strong';
import type { ReplicaSet } from './replica-set.ts';
import {
  confirmedBy,
  decodeReplicaSet,
  encodeReplicaSet,
  firstRecord,
  isAwaited,
  isSettled,
  REPLICA_SET_KEY,
  type ReplicaSetRecord,
  withoutReplica,
  withReplica,
} from './replica-set-record.ts';
import type { ReplicaSets } from './replica-sets.ts';
import { SharedRuns } from './shared-runs.ts';

export interface ReplicaSetKeeperOptions {
  readonly self: string;
  readonly store: StrongStore;
  /** Gets the store ready, where that takes a while; called again until it has. */
  readonly prepare?: (() => Promise<void>) | undefined;
  /** The first set of a plane that has none. */
  readonly proposal: readonly string[];
  readonly timers: Timers;
  readonly pollMs: number;
  /** Unlike any other. */
  readonly newNonce: () => string;
  readonly onFailure: (what: string, cause: unknown) => void;
  /** Told of each version that is new here. */
  readonly onVersion: (record: ReplicaSetRecord) => void;
}

/** What a change needs of the other replicas. */
export interface SetParticipants {
  /**
   * Brings here all that a majority of the set before has, once each of that majority goes by the
   * new version. @throws MemplaneError where that can't be now
   */
  takeOver(version: number, from: readonly string[]): Promise<void>;
  /** Why the set can not be changed now. @throws MemplaneError */
  check(set: ReplicaSet, added?: string): Promise<void>;
}

const WRITES_MAX = 20;
/** While a change is not settled, by how much oftener it is looked at. */
const HURRY = 5;

/**
 * Keeps to the record of the replica set in the strong store. A change is one replica more or less,
 * by a compare-and-set, so that majorities of the set before and after it share a replica (D. Ongaro,
 * "Consensus: bridging theory and practice", 2014, section 4.1). The next one has to wait until it is
 * settled: each replica of the new set takes over what a majority of the set before has, and confirms
 * it; a majority of them settles the change.
 */
export class ReplicaSetKeeper implements ReplicaSets {
  readonly isFixed = false;
  participants: SetParticipants | undefined;
  readonly #options: ReplicaSetKeeperOptions;
  readonly #reads: SharedRuns<void>;
  readonly #looks: SharedRuns<void>;
  #record: ReplicaSetRecord | undefined;
  #cancel: Cancel | undefined;
  #isStopped = false;

  constructor(options: ReplicaSetKeeperOptions) {
    this.#options = options;
    this.#reads = new SharedRuns(() => this.#read().then(() => {}));
    this.#looks = new SharedRuns(() => this.#look());
  }

  get current(): ReplicaSetRecord | undefined {
    return this.#record;
  }

  get shown(): ReplicaSet {
    return this.#record ?? { version: 0, replicas: this.#options.proposal };
  }

  get unconfirmed(): readonly string[] {
    const record = this.#record;
    return record?.replicas.filter((id) => isAwaited(record, id)) ?? [];
  }

  /** Looks now and then from now on. */
  start(): void {
    const { onFailure, pollMs, timers } = this.#options;
    const again = () => {
      const isSoon = this.#record === undefined || !isSettled(this.#record);
      this.#cancel?.();
      this.#cancel = timers.after(isSoon ? pollMs / HURRY : pollMs, () => this.start());
    };
    this.#looks
      .run()
      .catch((cause: unknown) => {
        if (!this.#isStopped) onFailure('the replica set can not be looked at', cause);
      })
      .finally(() => {
        if (!this.#isStopped) again();
      });
  }

  stop(): void {
    this.#isStopped = true;
    this.#cancel?.();
  }

  refresh(): Promise<void> {
    return this.#reads.run();
  }

  async add(id: string): Promise<void> {
    await this.#change(id, (record, nonce) =>
      record.replicas.includes(id) ? undefined : withReplica(record, id, nonce),
    );
  }

  async remove(id: string): Promise<void> {
    await this.#change(undefined, (record, nonce) =>
      record.replicas.includes(id) ? withoutReplica(record, id, nonce) : undefined,
    );
  }

  async #look(): Promise<void> {
    if ((await this.#read()) === undefined) await this.#propose();
    const record = this.#record;
    const { participants } = this;
    if (record?.change === undefined || participants === undefined) return;
    if (!isAwaited(record, this.#options.self)) return;
    await participants.takeOver(record.version, record.change.from);
    await this.#confirm(record.version);
  }

  async #read(): Promise<Versioned | undefined> {
    const stored = await this.#options.store.get(REPLICA_SET_KEY);
    if (stored !== undefined) this.#learn(decodeReplicaSet(stored.value));
    return stored;
  }

  /** Reads of the store may end in another order than they began: the set never goes back. */
  #learn(record: ReplicaSetRecord): void {
    const before = this.#record;
    if (before !== undefined) {
      if (record.version < before.version) return;
      if (record.version === before.version && isSettled(before)) return;
    }
    this.#record = record;
    if (before?.version !== record.version) this.#options.onVersion(record);
  }

  async #propose(): Promise<void> {
    const { newNonce, prepare, proposal, store } = this.#options;
    await prepare?.();
    await store.create(REPLICA_SET_KEY, encodeReplicaSet(firstRecord(proposal, newNonce())));
    // Whoever was first, and whether this one was: the record tells.
    await this.#read();
  }

  async #confirm(version: number): Promise<void> {
    const { self, store } = this.#options;
    for (let attempt = 0; attempt < WRITES_MAX; attempt++) {
      const stored = await this.#read();
      if (stored === undefined) return;
      const record = decodeReplicaSet(stored.value);
      if (record.version !== version || !isAwaited(record, self)) return;
      const text = encodeReplicaSet(confirmedBy(record, self));
      // What became of it is seen by the next reading.
      await store.compareAndSet(REPLICA_SET_KEY, text, stored.version);
    }
    throw new MemplaneError('no_quorum', 'The change of the replica set is not confirmed.');
  }

  async #change(
    added: string | undefined,
    edit: (record: ReplicaSetRecord, nonce: string) => ReplicaSetRecord | undefined,
  ): Promise<void> {
    const { newNonce, store } = this.#options;
    const nonce = newNonce();
    for (let attempt = 0; attempt < WRITES_MAX; attempt++) {
      const stored = await this.#read();
      if (stored === undefined) break;
      const record = decodeReplicaSet(stored.value);
      if (record.nonce === nonce) return this.#settleSoon();
      const next = edit(record, nonce);
      if (next === undefined) return;
      if (!isSettled(record)) throw changing(record);
      await this.participants?.check(record, added);
      await store.compareAndSet(REPLICA_SET_KEY, encodeReplicaSet(next), stored.version);
    }
    throw new MemplaneError('no_quorum', 'The replica set could not be changed.', {
      retryAfterMs: 1_000,
    });
  }

  #settleSoon(): void {
    if (this.#isStopped || this.#cancel === undefined) return;
    this.#cancel();
    this.start();
  }
}

function changing({ change, replicas, version }: ReplicaSetRecord): MemplaneError {
  const words =
    `Version ${version} of the replica set is not settled: a majority of ${replicas} has to confirm ` +
    `it, and ${change?.confirmed.join() || 'nobody'} has.`;
  return new MemplaneError('replica_set_changing', words, {
    retryAfterMs: 1_000,
    extra: { version, replicaSet: replicas, confirmed: change?.confirmed },
  });
}
