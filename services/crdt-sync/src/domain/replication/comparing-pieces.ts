import { MemplaneError } from '@memplane/contracts';
import {
  type CausalContext,
  decodeNames,
  encodeNames,
  type PieceExchange,
  type PieceSummary,
  type ReplicaDelta,
  replicaDeltaLattice,
  type SetPatch,
  subtractContext,
} from '@memplane/crdt';
import { refOfDeltaKey } from '../delta-key.ts';
import type { CrdtStore } from '../port.ts';
import type { CommitVector } from '../session-token.ts';
import type { LargeCalls } from './large-calls.ts';
import { METHODS } from './methods.ts';
import {
  type DifferingPrefix,
  differingPieces,
  groupsOf,
  patchOfPieces,
} from './piece-differences.ts';
import * as messages from './piece-messages.ts';
import { decodeShown, encodeShown } from './shown-states.ts';
import { isDamage } from './values-answer.ts';

export interface ComparingPiecesOptions {
  readonly store: CrdtStore;
  readonly calls: LargeCalls;
  /** What reads here may show. */
  readonly shown: () => CommitVector;
  /** Told before some of what another has shown is joined here. */
  readonly expect: (theirs: CommitVector) => void;
  /** Durable when it resolves. */
  readonly joinAll: (delta: ReplicaDelta) => Promise<void>;
  readonly answerTimeoutMs: number;
  /** Smaller sets are given whole, many in one answer. */
  readonly pieced_from_elements: number;
}

/** Whose set is compared. */
interface Other {
  readonly peer: string;
  /** The life that gives all answers. */
  readonly life: number;
  readonly key: string;
  readonly signal: AbortSignal;
}

/**
 * Takes over what differs in a large set, and no more of it: both tell digests of what is below
 * prefixes of the elements' hashes, level by level, and the elements where few are left (after
 * R. Merkle, 1987). A set that is all missing comes piece by piece too, the next one fetched while
 * the last one is joined.
 */
export class ComparingPieces {
  readonly #options: ComparingPiecesOptions;

  constructor(options: ComparingPiecesOptions) {
    this.#options = options;
    const { calls, shown, store } = options;
    calls.onCall(METHODS.large, async (_, bytes) => encodeNames(await this.#largeOf(bytes)));
    calls.onCall(METHODS.pieces, async (_, bytes) => {
      const { key, prefixes } = messages.decodeQuestion(bytes);
      const digests = await unlessDamaged(store.pieces.digests(refOfDeltaKey(key), prefixes));
      return messages.encodeDigests(digests);
    });
    calls.onCall(METHODS.elements, async (_, bytes) => {
      const { key, prefixes } = messages.decodeQuestion(bytes);
      const max = messages.GIVEN_ELEMENTS_MAX;
      const found = await unlessDamaged(store.pieces.below(refOfDeltaKey(key), prefixes, max));
      // What is given is ahead of the vector of before: it must not be lost here.
      await store.settle();
      return encodeShown({ shown: shown(), states: messages.encodeElements(found) });
    });
  }

  /**
   * Which of these sets a peer has as large ones.
   * @throws MemplaneError where the peer does not answer
   */
  async largeAt(peer: string, life: number, keys: readonly string[], signal: AbortSignal) {
    const { calls, answerTimeoutMs } = this.#options;
    signal.throwIfAborted();
    if (keys.length === 0) return [];
    const answer = await calls.call(peer, METHODS.large, encodeNames(keys), answerTimeoutMs);
    if (answer.life !== life) throw startedAnew(peer);
    const asked = new Set(keys);
    return decodeNames(answer.bytes).filter((key) => asked.has(key));
  }

  /**
   * @returns false where one of the two keeps no digests of this set: it has to come as a whole
   * @throws MemplaneError where the peer does not answer, or joining fails; what was joined stays
   */
  async takeOver(other: Other): Promise<boolean> {
    const { store } = this.#options;
    const ref = refOfDeltaKey(other.key);
    const begin = await this.#digests(other, ['']);
    if (begin === undefined) return false;
    let level = begin.summaries;
    while (level.length > 0) {
      const prefixes = level.map(({ prefix }) => prefix);
      const mine = await store.pieces.digests(ref, prefixes);
      if (mine === undefined) return false;
      const { ask, fetch } = differingPieces(mine.summaries, level);
      if (!(await this.#fetch(other, fetch))) return false;
      const next: PieceSummary[] = [];
      for (let at = 0; at < ask.length; at += messages.PREFIXES_MAX) {
        const some = await this.#digests(other, ask.slice(at, at + messages.PREFIXES_MAX));
        if (some === undefined) return false;
        next.push(...some.summaries);
      }
      level = next;
    }
    await this.#takeOverContext(other.key, begin.context);
    return true;
  }

  async #largeOf(question: Uint8Array): Promise<string[]> {
    const { pieced_from_elements, store } = this.#options;
    const keys = decodeNames(question);
    const loaded = await store.load(keys.map(refOfDeltaKey));
    return keys.filter((_, i) => (loaded[i]?.set?.elements ?? 0) >= pieced_from_elements);
  }

  /**
   * What the other had seen when the comparison began, and nobody has told this replica since, was
   * removed there: all that stood there then stands here, or is known to be removed.
   */
  async #takeOverContext(key: string, begin: CausalContext): Promise<void> {
    const [loaded] = await this.#options.store.load([refOfDeltaKey(key)]);
    if (loaded?.damaged !== undefined) throw loaded.damaged;
    const cleared = subtractContext(begin, loaded?.set?.context ?? new Map());
    if (cleared.size > 0) await this.#join(key, new Map(), cleared);
  }

  async #fetch(other: Other, fetch: readonly DifferingPrefix[]): Promise<boolean> {
    const { expect } = this.#options;
    const groups = [...groupsOf(fetch, messages.PREFIXES_MAX)];
    let asked = this.#elements(other, groups[0]);
    for (let at = 0; at < groups.length; at++) {
      const group = groups[at] ?? [];
      const { shown, theirs } = await asked;
      if (theirs === undefined) return false;
      const rest = group.filter(({ prefix }) => !theirs.pieces.has(prefix));
      if (rest.length === group.length) throw otherwise(other.peer);
      if (rest.length > 0) groups.splice(at + 1, 0, rest);
      asked = this.#elements(other, groups[at + 1]);
      // It is awaited in the next round, if there is one.
      asked.catch(() => {});
      const mine = await this.#mine(other.key, group);
      if (mine === undefined) return false;
      expect(shown);
      await this.#join(other.key, patchOfPieces(theirs, mine), new Map());
    }
    return true;
  }

  /** What is here below these prefixes. */
  async #mine(key: string, group: readonly DifferingPrefix[]): Promise<PieceExchange | undefined> {
    const held = group.filter((one) => one.held > 0).map(({ prefix }) => prefix);
    if (held.length === 0) return { pieces: new Map(), context: new Map() };
    const { pieces } = this.#options.store;
    return pieces.below(refOfDeltaKey(key), held, Number.POSITIVE_INFINITY);
  }

  async #join(key: string, patch: SetPatch, cleared: CausalContext): Promise<void> {
    if (patch.size === 0 && cleared.size === 0) return;
    const delta = replicaDeltaLattice.bottom();
    delta.sets.set(key, { patch, cleared });
    await this.#options.joinAll(delta);
  }

  async #digests(other: Other, prefixes: readonly string[]) {
    return messages.decodeDigests(await this.#ask(other, METHODS.pieces, prefixes));
  }

  async #elements(other: Other, group: readonly DifferingPrefix[] = []) {
    const prefixes = group.map(({ prefix }) => prefix);
    if (prefixes.length === 0) return { shown: new Map<string, number>(), theirs: undefined };
    const answer = await this.#ask(other, METHODS.elements, prefixes);
    const { shown, states } = decodeShown(answer);
    return { shown, theirs: messages.decodeElements(states) };
  }

  async #ask(other: Other, method: number, prefixes: readonly string[]): Promise<Uint8Array> {
    const { key, life, peer, signal } = other;
    signal.throwIfAborted();
    const { answerTimeoutMs, calls } = this.#options;
    const question = messages.encodeQuestion({ key, prefixes });
    const answer = await calls.call(peer, method, question, answerTimeoutMs);
    if (answer.life === life) return answer.bytes;
    throw startedAnew(peer);
  }
}

function startedAnew(peer: string): MemplaneError {
  return new MemplaneError('dependency_unavailable', `Replica ${peer} has started anew.`);
}

/** Of what is damaged nothing is told here: that is, where the set is asked for as a whole. */
async function unlessDamaged<T>(answer: Promise<T>): Promise<T | undefined> {
  try {
    return await answer;
  } catch (cause) {
    if (isDamage(cause)) return undefined;
    throw cause;
  }
}

function otherwise(peer: string): MemplaneError {
  return new MemplaneError('dependency_unavailable', `Replica ${peer} speaks otherwise.`);
}
