import { MemplaneError } from '@memplane/contracts';
import {
  type CommitRange,
  type DigestsQuestion,
  decodeDigestsQuestion,
  decodeNamedDigests,
  decodeNames,
  decodeSummary,
  encodeDigestsQuestion,
  encodeNamedDigests,
  encodeNames,
  encodeSummary,
  type NamedDigest,
  type ReadonlyVector,
  type ReplicaDelta,
  rangesTo,
  replicaDeltaLattice,
} from '@memplane/crdt';
import { refOfDeltaKey } from '../delta-key.ts';
import type { CrdtStore } from '../port.ts';
import type { CommitVector } from '../session-token.ts';
import { bitsFor, digestsIn, sumBuckets } from './buckets.ts';
import type { LargeCalls } from './large-calls.ts';
import { METHODS } from './methods.ts';
import { decodeShown, encodeShown } from './shown-states.ts';
import { addState, decodeStates, encodeStates } from './states.ts';

export interface ComparingOptions {
  readonly store: CrdtStore;
  readonly calls: LargeCalls;
  /** Names the present state here: another one after a start, and where some was lost. */
  readonly life: () => number;
  /** All that is durable here. */
  readonly known: () => ReadonlyVector;
  /** What reads here may show. */
  readonly shown: () => CommitVector;
  /** Told before some of what another has shown is joined here. */
  readonly expect: (theirs: CommitVector) => void;
  /** Durable when it resolves. */
  readonly joinAll: (delta: ReplicaDelta) => Promise<void>;
  readonly advance: (ranges: readonly CommitRange[]) => void;
  /** Names whose values are asked for in one call. */
  readonly values_names_max: number;
  /** An answer with values ends with the one that passes this. */
  readonly values_bytes_max: number;
}

/** What a comparison found at another replica. */
export interface Compared {
  /** The life of the other that was compared with. */
  readonly life: number;
  /** Values here. */
  readonly names: number;
  /** Those that differ there from here, or are missing here. */
  readonly differing: readonly NamedDigest[];
  /** What is known here by it. */
  readonly ranges: readonly CommitRange[];
}

/**
 * Compares all values with another replica's by their digests, and takes over what differs: sums
 * in buckets first, then digests, then values, so what is equal costs a few bytes in all (after
 * R. Merkle, 1987, with one level of many branches: names are small against their values).
 *
 * The other's vector is read before its values, and taken over after all of them are joined in: by
 * then all that it speaks of is here, if one life of the other gave all answers. A later one may have
 * lost what the vector speaks of.
 */
export class Comparing {
  readonly #options: ComparingOptions;
  /** How many values there were when last counted. */
  #names = 0;

  constructor(options: ComparingOptions) {
    this.#options = options;
    const { calls } = options;
    calls.onCall(METHODS.summary, async (_, bytes) => this.#summary(bytes));
    calls.onCall(METHODS.digests, async (_, bytes) => this.#digests(bytes));
    calls.onCall(METHODS.values, async (_, bytes) => this.#values(bytes));
  }

  /**
   * Takes over what a peer has and this replica lacks.
   * @throws MemplaneError where the peer does not answer, or joining fails; what was joined stays
   */
  async catchUp(peer: string, signal: AbortSignal): Promise<Compared> {
    const { advance, life } = this.#options;
    const before = life();
    const compared = await this.compare(peer, signal);
    await this.#fetch(peer, compared, signal);
    if (life() !== before) {
      throw new MemplaneError('storage_unavailable', 'What was taken over may be lost again.');
    }
    advance(compared.ranges);
    return compared;
  }

  /** What differs at a peer; takes nothing over. @throws MemplaneError */
  async compare(peer: string, signal: AbortSignal): Promise<Compared> {
    const { calls, store, known } = this.#options;
    const bits = bitsFor(this.#names);
    const question = encodeDigestsQuestion({ bits, buckets: [] });
    const { life, bytes } = await calls.call(peer, METHODS.summary, question);
    const theirs = decodeSummary(bytes);
    const mine = await sumBuckets(store, bits, signal);
    this.#names = mine.names;
    const buckets = theirs.sums.flatMap((sum, index) => (sum === mine.sums[index] ? [] : [index]));
    const differing =
      buckets.length === 0 ? [] : await this.#differing(peer, life, { bits, buckets }, signal);
    const ranges = rangesTo(theirs.known, known());
    return { life, names: mine.names, differing, ranges };
  }

  async #differing(
    peer: string,
    life: number,
    question: DigestsQuestion,
    signal: AbortSignal,
  ): Promise<NamedDigest[]> {
    const { store } = this.#options;
    const answer = await this.#ask(peer, life, METHODS.digests, encodeDigestsQuestion(question));
    const theirs = decodeNamedDigests(answer);
    const mine = await digestsIn(store, question.bits, new Set(question.buckets), signal);
    const digests = new Map(mine.map(({ type, key, digest }) => [`${type} ${key}`, digest]));
    return theirs.filter(({ type, key, digest }) => digests.get(`${type} ${key}`) !== digest);
  }

  async #fetch(peer: string, { life, differing }: Compared, signal: AbortSignal): Promise<void> {
    const { expect, joinAll, values_names_max } = this.#options;
    let keys = [...new Set(differing.map(({ key }) => key))];
    while (keys.length > 0) {
      signal.throwIfAborted();
      const asked = encodeNames(keys.slice(0, values_names_max));
      const answer = await this.#ask(peer, life, METHODS.values, asked);
      const { shown, states } = decodeShown(answer);
      const answered = Buffer.from(states).readUInt32BE(0);
      const delta = decodeStates(states.subarray(4));
      expect(shown);
      await joinAll(delta);
      keys = keys.slice(Math.max(1, answered));
    }
  }

  async #ask(
    peer: string,
    life: number,
    method: number,
    question: Uint8Array,
  ): Promise<Uint8Array> {
    const answer = await this.#options.calls.call(peer, method, question);
    if (answer.life === life) return answer.bytes;
    throw new MemplaneError('dependency_unavailable', `Replica ${peer} has started anew.`);
  }

  async #summary(question: Uint8Array): Promise<Uint8Array> {
    const { bits } = decodeDigestsQuestion(question);
    // Before the values are read: what it speaks of is in them.
    const known = new Map(this.#options.known());
    const { sums, names } = await sumBuckets(this.#options.store, bits);
    this.#names = names;
    return encodeSummary({ known, sums });
  }

  async #digests(question: Uint8Array): Promise<Uint8Array> {
    const { bits, buckets } = decodeDigestsQuestion(question);
    return encodeNamedDigests(await digestsIn(this.#options.store, bits, new Set(buckets)));
  }

  /** As many of the values asked for as an answer may have, in their order; one at least. */
  async #values(question: Uint8Array): Promise<Uint8Array> {
    const { shown, store, values_bytes_max } = this.#options;
    const delta = replicaDeltaLattice.bottom();
    let answered = 0;
    let bytes = 0;
    for (const key of decodeNames(question)) {
      const ref = refOfDeltaKey(key);
      const state = await store.state(ref);
      addState(delta, ref, state);
      answered++;
      bytes += roughBytes(state);
      if (bytes >= values_bytes_max) break;
    }
    const head = Buffer.alloc(4);
    head.writeUInt32BE(answered, 0);
    // What is given is ahead of the vector of before: it must not be lost here.
    await store.settle();
    const states = Buffer.concat([head, encodeStates(delta)]);
    return encodeShown({ shown: shown(), states });
  }
}

const ENTRY_BYTES = 40;

function roughBytes({ counter, set, register, ops }: Awaited<ReturnType<CrdtStore['state']>>) {
  const entries = (counter?.entries.size ?? 0) + (ops?.records.size ?? 0) + 1;
  let bytes = entries * ENTRY_BYTES;
  for (const [element, dots] of set?.elements ?? []) {
    bytes += element.length + (1 + 2 * dots.length) * ENTRY_BYTES;
  }
  for (const { value } of register?.versions ?? []) bytes += JSON.stringify(value).length;
  return bytes;
}
