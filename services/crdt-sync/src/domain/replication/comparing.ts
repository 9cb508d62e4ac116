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
  isSameVector,
  type NamedDigest,
  type ReadonlyVector,
  type ReplicaDelta,
  rangesTo,
} from '@memplane/crdt';
import type { CrdtStore } from '../port.ts';
import type { CommitVector } from '../session-token.ts';
import { bitsFor, digestsIn, sumBuckets } from './buckets.ts';
import { ComparingPieces } from './comparing-pieces.ts';
import type { LargeCalls } from './large-calls.ts';
import { METHODS } from './methods.ts';
import { decodeShown, encodeShown } from './shown-states.ts';
import { decodeValues, isDamage, valuesOf } from './values-answer.ts';

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
  /** Longest wait for an answer: a large set takes its time. */
  readonly answerTimeoutMs: number;
  /** Names whose values are asked for in one call. */
  readonly values_names_max: number;
  /** An answer with values ends with the one that passes this. */
  readonly values_bytes_max: number;
  /** From so many elements on a set is compared in pieces. */
  readonly pieced_from_elements: number;
}

/** A value that is not the same at two replicas, by its digests; undefined where it is not. */
export interface Difference {
  readonly type: string;
  /** `tenant/name` */
  readonly key: string;
  readonly here: string | undefined;
  readonly there: string | undefined;
}

/** What a comparison found at another replica. */
export interface Compared {
  /** The life of the other that was compared with. */
  readonly life: number;
  /** The life here in which that was. */
  readonly ownLife: number;
  /** Values here. */
  readonly names: number;
  readonly differing: readonly Difference[];
  /** What is known here by what the other had. */
  readonly ranges: readonly CommitRange[];
  /** All that this one and the other had, before the values were read. */
  readonly known: ReadonlyVector;
  readonly theirs: ReadonlyVector;
}

/** Whether each of two had all that the other had. */
export function areEven({ known, theirs }: Compared): boolean {
  return isSameVector(known, theirs);
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
  readonly #pieces: ComparingPieces;
  /** How many values there were when last counted. */
  #names = 0;

  constructor(options: ComparingOptions) {
    this.#options = options;
    this.#pieces = new ComparingPieces(options);
    const { calls, shown, store, values_bytes_max } = options;
    calls.onCall(METHODS.summary, async (_, bytes) => this.#summary(bytes));
    calls.onCall(METHODS.digests, async (_, bytes) => this.#digests(bytes));
    calls.onCall(METHODS.values, async (_, keys) => {
      const states = await valuesOf(store, decodeNames(keys), values_bytes_max);
      // What is given is ahead of the vector of before: it must not be lost here.
      await store.settle();
      return encodeShown({ shown: shown(), states });
    });
  }

  /**
   * Takes over what a peer has and this replica lacks.
   * @throws MemplaneError where the peer does not answer, or joining fails, or a value is damaged
   * there; what was joined stays
   */
  async catchUp(peer: string, signal: AbortSignal): Promise<Compared> {
    const compared = await this.compare(peer, signal);
    const damaged = await this.takeOver(peer, compared, signal);
    if (damaged.length > 0) throw damagedThere(peer, damaged);
    return compared;
  }

  /** What differs at a peer; takes nothing over. @throws MemplaneError */
  async compare(peer: string, signal: AbortSignal): Promise<Compared> {
    const { answerTimeoutMs, calls, store } = this.#options;
    const bits = bitsFor(this.#names);
    const ownLife = this.#options.life();
    const known = new Map(this.#options.known());
    const question = encodeDigestsQuestion({ bits, buckets: [] });
    const { life, bytes } = await calls.call(peer, METHODS.summary, question, answerTimeoutMs);
    const theirs = decodeSummary(bytes);
    const mine = await sumBuckets(store, bits, signal);
    this.#names = mine.names;
    const buckets = theirs.sums.flatMap((sum, index) => (sum === mine.sums[index] ? [] : [index]));
    const differing =
      buckets.length === 0 ? [] : await this.#differing(peer, life, { bits, buckets }, signal);
    const ranges = rangesTo(theirs.known, this.#options.known());
    return { life, ownLife, names: mine.names, differing, ranges, known, theirs: theirs.known };
  }

  /**
   * Joins what a comparison found there.
   * @returns the names that are damaged there: then the vector is not taken over, since it speaks of
   * them too
   * @throws MemplaneError where the peer does not answer, or joining fails; what was joined stays
   */
  async takeOver(peer: string, compared: Compared, signal: AbortSignal): Promise<string[]> {
    const { expect, joinAll } = this.#options;
    const there = compared.differing.filter((difference) => difference.there !== undefined);
    const inPieces = await this.#takeOverLarge(peer, compared.life, there, signal);
    const keys = [...new Set(there.map(({ key }) => key))].filter((key) => !inPieces.has(key));
    const damaged: string[] = [];
    for await (const values of this.#values(peer, compared.life, keys, signal)) {
      expect(values.shown);
      await joinAll(values.delta);
      damaged.push(...values.damaged);
    }
    if (this.#options.life() !== compared.ownLife) {
      throw new MemplaneError('storage_unavailable', 'What was taken over may be lost again.');
    }
    if (damaged.length === 0) this.#options.advance(compared.ranges);
    return damaged;
  }

  /** Which of these names are damaged there; joins nothing. @throws MemplaneError */
  async damagedAt(
    peer: string,
    { life }: Compared,
    keys: readonly string[],
    signal: AbortSignal,
  ): Promise<string[]> {
    const damaged: string[] = [];
    for await (const values of this.#values(peer, life, keys, signal)) {
      damaged.push(...values.damaged);
    }
    return damaged;
  }

  /** @returns the large sets that are taken over in pieces */
  async #takeOverLarge(
    peer: string,
    life: number,
    differing: readonly Difference[],
    signal: AbortSignal,
  ): Promise<Set<string>> {
    const { values_names_max } = this.#options;
    const others = new Set(differing.filter(({ type }) => type !== 'set').map(({ key }) => key));
    const sets = differing.map(({ key }) => key).filter((key) => !others.has(key));
    const done = new Set<string>();
    for (let at = 0; at < sets.length; at += values_names_max) {
      const some = sets.slice(at, at + values_names_max);
      for (const key of await this.#pieces.largeAt(peer, life, some, signal)) {
        if (await this.#takeOverPieces(peer, life, key, signal)) done.add(key);
      }
    }
    return done;
  }

  /** @returns false where the set has to come as a whole, if only to tell that it is damaged */
  async #takeOverPieces(
    peer: string,
    life: number,
    key: string,
    signal: AbortSignal,
  ): Promise<boolean> {
    try {
      return await this.#pieces.takeOver({ peer, life, key, signal });
    } catch (cause) {
      if (isDamage(cause)) return false;
      throw cause;
    }
  }

  async *#values(peer: string, life: number, keys: readonly string[], signal: AbortSignal) {
    const { values_names_max } = this.#options;
    let rest = keys;
    while (rest.length > 0) {
      signal.throwIfAborted();
      const asked = encodeNames(rest.slice(0, values_names_max));
      const { shown, states } = decodeShown(await this.#ask(peer, life, METHODS.values, asked));
      const values = decodeValues(states);
      yield { shown, ...values };
      rest = rest.slice(Math.max(1, values.answered));
    }
  }

  async #differing(
    peer: string,
    life: number,
    question: DigestsQuestion,
    signal: AbortSignal,
  ): Promise<Difference[]> {
    const answer = await this.#ask(peer, life, METHODS.digests, encodeDigestsQuestion(question));
    const theirs = decodeNamedDigests(answer);
    const { bits, buckets } = question;
    const { store } = this.#options;
    const mine = await digestsIn(store, bits, new Set(buckets), signal);
    return differences(mine, theirs);
  }

  async #ask(
    peer: string,
    life: number,
    method: number,
    question: Uint8Array,
  ): Promise<Uint8Array> {
    const { answerTimeoutMs, calls } = this.#options;
    const answer = await calls.call(peer, method, question, answerTimeoutMs);
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
}

export function damagedThere(peer: string, damaged: readonly string[]): MemplaneError {
  const words = `${damaged.length} values are damaged at replica ${peer}: ${damaged[0]} is one.`;
  return new MemplaneError('storage_damaged', words);
}

function differences(mine: readonly NamedDigest[], theirs: readonly NamedDigest[]): Difference[] {
  const place = ({ type, key }: NamedDigest) => `${type} ${key}`;
  const here = new Map(mine.map((value) => [place(value), value]));
  const found: Difference[] = [];
  for (const value of theirs) {
    const { type, key, digest: there } = value;
    const own = here.get(place(value))?.digest;
    if (own !== there) found.push({ type, key, here: own, there });
    here.delete(place(value));
  }
  for (const { type, key, digest } of here.values()) {
    found.push({ type, key, here: digest, there: undefined });
  }
  return found;
}
