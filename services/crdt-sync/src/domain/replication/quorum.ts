import { MemplaneError } from '@memplane/contracts';
import { type ReplicaDelta, replicaDeltaLattice } from '@memplane/crdt';
import type { Timers } from '@memplane/gossip';
import { deltaKeyOf, refOfDeltaKey } from '../delta-key.ts';
import type { CrdtStore, Ref } from '../port.ts';
import {
  FIRST_VERSION,
  majorityOf,
  othersNeeded,
  othersOf,
  type ReplicaSet,
} from '../replica-set/replica-set.ts';
import { answerFor, type ReplicaSets, stillAt } from '../replica-set/replica-sets.ts';
import { type CommitVector, joinVectors } from '../session-token.ts';
import type { LargeCalls } from './large-calls.ts';
import { METHODS } from './methods.ts';
import { decodeShown, encodeShown } from './shown-states.ts';
import { splitStates } from './split-states.ts';
import { decodeStates, encodeStates, stateAsDelta } from './states.ts';

export interface QuorumOptions {
  readonly self: string;
  /** The denominator: the replicas whose majority counts. Gossip never changes it. */
  readonly sets: ReplicaSets;
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

const VERSION_BYTES = 6;
/** Versions of the set that one operation begins with. */
const VERSIONS_MAX = 3;

/**
 * Reads of what a majority has. Two majorities share a replica, so a read includes every write that
 * a majority has; and since it is written back to a majority before it is answered, no later read
 * has less (the two phases of Attiya, Bar-Noy, Dolev, "Sharing memory robustly in message-passing
 * systems", 1995, with joins in place of the highest stamp).
 *
 * An operation has one version of the replica set in all its steps: each replica that counts for it
 * goes by that version when it answers, and so does this one when the operation ends. Where one of
 * them knows a later version, it begins anew with that one.
 */
export class Quorum {
  readonly #options: QuorumOptions;

  constructor(options: QuorumOptions) {
    this.#options = options;
    const { calls, expect, joinAll, sets } = options;
    const read = async (key: Uint8Array) => {
      const { state, shown } = await this.#here(refOfDeltaKey(Buffer.from(key).toString()));
      return encodeShown({ shown, states: encodeStates(state) });
    };
    const write = async (message: Uint8Array) => {
      const { shown, states } = decodeShown(message);
      const state = decodeStates(states);
      expect(shown);
      await joinAll(state);
      return new Uint8Array();
    };
    const first = sets.isFixed ? 0 : FIRST_VERSION;
    calls.onCall(METHODS.read, (_, key) => answerFor(sets, first, () => read(key)));
    calls.onCall(METHODS.write, (_, message) => answerFor(sets, first, () => write(message)));
    calls.onCall(METHODS.readAt, (from, asked) => {
      const { version, rest } = versioned(from, asked);
      return answerFor(sets, version, () => read(rest));
    });
    calls.onCall(METHODS.writeAt, (from, asked) => {
      const { version, rest } = versioned(from, asked);
      return answerFor(sets, version, () => write(rest));
    });
  }

  /** @throws MemplaneError `no_quorum` where no majority answers in time */
  read(ref: Ref): Promise<QuorumRead> {
    return this.inTime('answered', () => this.atOneVersion((set) => this.#read(ref, set)));
  }

  /** Brings all that a name holds here to a majority. @throws MemplaneError `no_quorum` */
  async write(ref: Ref): Promise<void> {
    const push = async (set: ReplicaSet) => {
      const needed = othersNeeded(set, this.#options.self);
      if (needed <= 0) return;
      const { state, shown } = await this.#here(ref);
      await this.firstOf(othersOf(set, this.#options.self), needed, (id) =>
        this.#push(id, set, state, shown),
      );
    };
    await this.inTime('answered', () => this.atOneVersion(push));
  }

  /**
   * Does something for one version of the set, and anew for a later one where that is why it fails,
   * or where this replica knows of one by its end.
   * @throws MemplaneError `no_quorum`, also where the set is not known here yet
   */
  async atOneVersion<T>(act: (set: ReplicaSet) => Promise<T>): Promise<T> {
    const { sets } = this.#options;
    let failure: unknown;
    for (let round = 0; round < VERSIONS_MAX; round++) {
      const set = sets.current;
      try {
        if (set === undefined) throw this.noQuorum('The replica set is not known here yet.');
        const done = await act(set);
        stillAt(sets, set.version);
        return done;
      } catch (cause) {
        failure = cause;
        // What keeps it from being looked at is no better reason than this one.
        await sets.refresh().catch(() => {});
        if (sets.current === undefined || sets.current.version === set?.version) break;
      }
    }
    throw failure;
  }

  /** The refusal of a majority that can not be reached. */
  noQuorum(what: string, extra: Readonly<Record<string, unknown>> = {}): MemplaneError {
    const { shown } = this.#options.sets;
    return new MemplaneError('no_quorum', what, {
      retryAfterMs: 1_000,
      extra: { ...described(shown), ...extra },
    });
  }

  async #read(ref: Ref, set: ReplicaSet): Promise<QuorumRead> {
    const { expect, self, joinAll } = this.#options;
    const key = Buffer.from(deltaKeyOf(ref));
    const others = othersOf(set, self);
    const needed = othersNeeded(set, self);
    const found = new Map<string, Answered>();
    if (set.replicas.includes(self)) found.set(self, await this.#here(ref));
    await this.firstOf(others, needed, async (id) => {
      const { shown, states } = decodeShown(await this.#ask(id, 'read', set, key));
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
    const wanting = others.filter(lacks);
    const have = others.length - wanting.length;
    await this.firstOf(wanting, needed - have, (id) => this.#push(id, set, lacking(id), shown));
    return { state, replicas: [...answers.keys()].sort(), of: set.replicas.length };
  }

  /** In this order: what is shown covers the state. */
  async #here(ref: Ref): Promise<Answered> {
    const state = await stateAsDelta(this.#options.store, ref);
    return { state, shown: this.#options.shown() };
  }

  async #push(
    id: string,
    set: ReplicaSet,
    delta: ReplicaDelta,
    shown: CommitVector,
  ): Promise<void> {
    for (const part of splitStates(delta, this.#options.part_bytes_max)) {
      await this.#ask(id, 'write', set, encodeShown({ shown, states: encodeStates(part) }));
    }
  }

  /** The first version is not named: replicas of before there was a record go by it. */
  async #ask(
    id: string,
    what: 'read' | 'write',
    { version }: ReplicaSet,
    bytes: Uint8Array,
  ): Promise<Uint8Array> {
    const { calls } = this.#options;
    if (version <= FIRST_VERSION) return (await calls.call(id, METHODS[what], bytes)).bytes;
    const head = Buffer.alloc(VERSION_BYTES);
    head.writeUIntBE(version, 0, VERSION_BYTES);
    return (await calls.call(id, METHODS[`${what}At`], Buffer.concat([head, bytes]))).bytes;
  }

  /**
   * @param what the majority has not done where it is too late
   * @throws MemplaneError `no_quorum`; the signal ends with it
   */
  async inTime<T>(what: string, act: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const { timers, timeoutMs } = this.#options;
    const { promise, reject } = Promise.withResolvers<never>();
    const ending = new AbortController();
    const cancel = timers.after(timeoutMs, () => {
      reject(this.noQuorum(`No majority of the replica set has ${what} within ${timeoutMs} ms.`));
    });
    try {
      return await Promise.race([act(ending.signal), promise]);
    } finally {
      cancel();
      ending.abort();
    }
  }

  /** Resolves once `count` of them have done it, and rejects once so many can not any more. */
  async firstOf(
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

/** What a refusal tells of the set. */
export function described({ replicas, version }: ReplicaSet) {
  return {
    replicaSet: replicas,
    quorum: majorityOf(replicas),
    ...(version === 0 ? {} : { replicaSetVersion: version }),
  };
}

function versioned(from: string, bytes: Uint8Array) {
  if (bytes.length < VERSION_BYTES) {
    throw new MemplaneError('dependency_unavailable', `Replica ${from} speaks otherwise.`);
  }
  const version = Buffer.from(bytes.subarray(0, VERSION_BYTES)).readUIntBE(0, VERSION_BYTES);
  return { version, rest: bytes.subarray(VERSION_BYTES) };
}
