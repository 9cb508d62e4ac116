import { MemplaneError } from '@memplane/contracts';
import { encodeReplicaDelta, type ReplicaDelta, replicaDeltaLattice } from '@memplane/crdt';
import { deltaKeyOf, refOfDeltaKey } from '../delta-key.ts';
import type { CrdtStore, Ref } from '../port.ts';
import type { LargeCalls } from './large-calls.ts';
import { METHODS } from './methods.ts';
import { decodeStates, encodeStates, stateAsDelta } from './states.ts';

export interface QuorumOptions {
  readonly self: string;
  /** The denominator: the ids of the replicas whose majority counts. Gossip never changes it. */
  readonly replicaSet: () => readonly string[];
  readonly store: CrdtStore;
  readonly calls: LargeCalls;
  /** Durable when it resolves. */
  readonly joinAll: (delta: ReplicaDelta) => Promise<void>;
}

/** What a majority of the replica set has of one name, joined, and which replicas those are. */
export interface QuorumRead {
  readonly state: ReplicaDelta;
  readonly replicas: readonly string[];
}

/**
 * Reads of what a majority has. Two majorities share a replica, so a read includes every write that
 * a majority has; and since it is written back to a majority before it is answered, no later read
 * has less (the two phases of Attiya, Bar-Noy, Dolev, "Sharing memory robustly in message-passing
 * systems", 1995, with joins in place of the highest stamp).
 */
export class Quorum {
  readonly #options: QuorumOptions;

  constructor(options: QuorumOptions) {
    this.#options = options;
    const { calls, store, joinAll } = options;
    calls.onCall(METHODS.read, async (_, key) => {
      return encodeStates(await stateAsDelta(store, refOfDeltaKey(Buffer.from(key).toString())));
    });
    calls.onCall(METHODS.write, async (_, state) => {
      await joinAll(decodeStates(state));
      return new Uint8Array();
    });
  }

  /** How many replicas are a majority. */
  get size(): number {
    return Math.floor(this.#options.replicaSet().length / 2) + 1;
  }

  /** The others of the set. */
  get others(): string[] {
    return this.#options.replicaSet().filter((id) => id !== this.#options.self);
  }

  /** How many of the others it takes. */
  get othersNeeded(): number {
    return this.size - (this.#isMember ? 1 : 0);
  }

  /** @throws MemplaneError `no_quorum` where no majority answers */
  async read(ref: Ref): Promise<QuorumRead> {
    const { calls, store, self, joinAll } = this.#options;
    const key = Buffer.from(deltaKeyOf(ref));
    const found = new Map<string, Uint8Array>();
    if (this.#isMember) found.set(self, encodeStates(await stateAsDelta(store, ref)));
    await this.#firstOf(this.others, this.othersNeeded, async (id) => {
      const { bytes } = await calls.call(id, METHODS.read, key);
      found.set(id, bytes);
    });
    // Answers that come later don't count.
    const answers = new Map(found);
    const state = replicaDeltaLattice.bottom();
    for (const bytes of answers.values()) replicaDeltaLattice.joinInto(state, decodeStates(bytes));
    const joined = encodeReplicaDelta(state);
    const lacks = (id: string) => {
      const bytes = answers.get(id);
      return bytes === undefined || Buffer.compare(bytes, joined) !== 0;
    };
    if (lacks(self)) await joinAll(decodeStates(joined));
    const has = this.others.filter((id) => !lacks(id));
    const wanting = this.others.filter(lacks);
    await this.#firstOf(wanting, this.othersNeeded - has.length, async (id) => {
      await calls.call(id, METHODS.write, joined);
    });
    return { state, replicas: [...answers.keys()].sort() };
  }

  /** The refusal of a majority that can not be reached. */
  noQuorum(what: string): MemplaneError {
    return new MemplaneError('no_quorum', what, {
      retryAfterMs: 1_000,
      extra: { replicaSet: this.#options.replicaSet(), quorum: this.size },
    });
  }

  get #isMember(): boolean {
    return this.#options.replicaSet().includes(this.#options.self);
  }

  /** Resolves once `count` of them have done it, and rejects once so many can not any more. */
  async #firstOf(
    ids: readonly string[],
    count: number,
    act: (id: string) => Promise<void>,
  ): Promise<void> {
    if (count <= 0) return;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    let done = 0;
    let failed = 0;
    const fail = () => {
      failed++;
      if (ids.length - failed >= count) return;
      reject(this.noQuorum('No majority of the replica set answers.'));
    };
    if (ids.length < count) fail();
    for (const id of ids) {
      act(id).then(() => {
        if (++done >= count) resolve();
      }, fail);
    }
    await promise;
  }
}
