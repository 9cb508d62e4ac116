import { MemplaneError } from '@memplane/contracts';
import { type ReplicaDelta, replicaDeltaLattice } from '@memplane/crdt';
import type { Timers } from '@memplane/gossip';
import { deltaKeyOf, refOfDeltaKey } from '../delta-key.ts';
import type { CrdtStore, Ref } from '../port.ts';
import { type CommitVector, joinVectors } from '../session-token.ts';
import type { LargeCalls } from './large-calls.ts';
import { METHODS } from './methods.ts';
import { decodeShown, encodeShown } from './shown-states.ts';
import { splitStates } from './split-states.ts';
import { decodeStates, encodeStates, stateAsDelta } from './states.ts';

export interface QuorumOptions {
  readonly self: string;
  /** The denominator: the ids of the replicas whose majority counts. Gossip never changes it. */
  readonly replicaSet: () => readonly string[];
  readonly store: CrdtStore;
  readonly calls: LargeCalls;
  readonly timers: Timers;
  /** The longest that anything of it takes. */
  readonly timeoutMs: number;
  /** Of a state that is written to another replica in one message. */
  readonly part_bytes_max: number;
  /** What reads here may show. */
  readonly shown: () => CommitVector;
  /** Told before some of what others have shown is joined here. */
  readonly expect: (theirs: CommitVector) => void;
  /** Durable when it resolves. */
  readonly joinAll: (delta: ReplicaDelta) => Promise<void>;
}

/** What a majority of the replica set has of one name, joined, and which replicas those are. */
export interface QuorumRead {
  readonly state: ReplicaDelta;
  readonly replicas: readonly string[];
  /** How many replicas there are. */
  readonly of: number;
}

interface Answered {
  readonly state: ReplicaDelta;
  readonly shown: CommitVector;
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
    const { calls, expect, joinAll } = options;
    calls.onCall(METHODS.read, async (_, key) => {
      const { state, shown } = await this.#here(refOfDeltaKey(Buffer.from(key).toString()));
      return encodeShown({ shown, states: encodeStates(state) });
    });
    calls.onCall(METHODS.write, async (_, message) => {
      const { shown, states } = decodeShown(message);
      const state = decodeStates(states);
      expect(shown);
      await joinAll(state);
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

  /** @throws MemplaneError `no_quorum` where no majority answers in time */
  read(ref: Ref): Promise<QuorumRead> {
    return this.#inTime(this.#read(ref));
  }

  /** Brings all that a name holds here to a majority. @throws MemplaneError `no_quorum` */
  async write(ref: Ref): Promise<void> {
    if (this.othersNeeded <= 0) return;
    const push = async () => {
      const { state, shown } = await this.#here(ref);
      await this.#firstOf(this.others, this.othersNeeded, (id) => this.#push(id, state, shown));
    };
    await this.#inTime(push());
  }

  /** The refusal of a majority that can not be reached. */
  noQuorum(what: string, extra: Readonly<Record<string, unknown>> = {}): MemplaneError {
    return new MemplaneError('no_quorum', what, {
      retryAfterMs: 1_000,
      extra: { replicaSet: this.#options.replicaSet(), quorum: this.size, ...extra },
    });
  }

  async #read(ref: Ref): Promise<QuorumRead> {
    const { calls, expect, self, joinAll } = this.#options;
    const key = Buffer.from(deltaKeyOf(ref));
    const found = new Map<string, Answered>();
    if (this.#isMember) found.set(self, await this.#here(ref));
    await this.#firstOf(this.others, this.othersNeeded, async (id) => {
      const { bytes } = await calls.call(id, METHODS.read, key);
      const { shown, states } = decodeShown(bytes);
      found.set(id, { state: decodeStates(states), shown });
    });
    // Answers that come later don't count.
    const answers = new Map(found);
    const state = replicaDeltaLattice.bottom();
    for (const answer of answers.values()) replicaDeltaLattice.joinInto(state, answer.state);
    const shown = joinVectors([...answers.values()].map((answer) => answer.shown));
    const lacking = (id: string) => {
      const answer = answers.get(id);
      return answer === undefined ? state : replicaDeltaLattice.difference(state, answer.state);
    };
    const lacks = (id: string) => !replicaDeltaLattice.isBottom(lacking(id));
    // Tokens that are given from here on ask for what this read shows.
    expect(shown);
    if (lacks(self)) await joinAll(lacking(self));
    const wanting = this.others.filter(lacks);
    const have = this.others.length - wanting.length;
    await this.#firstOf(wanting, this.othersNeeded - have, (id) =>
      this.#push(id, lacking(id), shown),
    );
    return { state, replicas: [...answers.keys()].sort(), of: this.#options.replicaSet().length };
  }

  /** In this order: what is shown covers the state. */
  async #here(ref: Ref): Promise<Answered> {
    const state = await stateAsDelta(this.#options.store, ref);
    return { state, shown: this.#options.shown() };
  }

  async #push(id: string, delta: ReplicaDelta, shown: CommitVector): Promise<void> {
    const { calls, part_bytes_max } = this.#options;
    for (const part of splitStates(delta, part_bytes_max)) {
      const message = encodeShown({ shown, states: encodeStates(part) });
      await calls.call(id, METHODS.write, message);
    }
  }

  get #isMember(): boolean {
    return this.#options.replicaSet().includes(this.#options.self);
  }

  async #inTime<T>(work: Promise<T>): Promise<T> {
    const { timers, timeoutMs } = this.#options;
    const { promise, reject } = Promise.withResolvers<never>();
    const cancel = timers.after(timeoutMs, () => {
      reject(this.noQuorum(`No majority of the replica set has answered within ${timeoutMs} ms.`));
    });
    try {
      return await Promise.race([work, promise]);
    } finally {
      cancel();
    }
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
