import {
  type CausalContext,
  cloneContext,
  cutSet,
  type Dot,
  exchangeOf,
  type OrSetState,
  type PiecedSet,
  type PieceExchange,
  type PieceSummary,
  summarize,
} from '@memplane/crdt';
import type { Ref } from './port.ts';

/** From so many elements on a set is compared in pieces; smaller ones come together, as a whole. */
export const PIECED_FROM_ELEMENTS = 257;

/** Digests of what is below some prefixes of elements' hashes, and the context at that moment. */
export interface PieceDigests {
  readonly context: CausalContext;
  readonly summaries: readonly PieceSummary[];
}

/**
 * A set as it is compared: by the digests of its elements below prefixes of their hashes, in hex
 * digits. Undefined is the answer for a set of which no digests are kept.
 */
export interface SetPieces {
  /** As of one moment. @throws MemplaneError `storage_damaged` */
  digests(ref: Ref, prefixes: readonly string[]): Promise<PieceDigests | undefined>;
  /**
   * All that is below the first of these prefixes, as of one moment: as many of them as have
   * `elements_max` elements, one at least.
   * @throws MemplaneError `storage_damaged`
   */
  below(
    ref: Ref,
    prefixes: readonly string[],
    elements_max: number,
  ): Promise<PieceExchange | undefined>;
}

/** The answers for a set that is in memory as a whole. */
export class WholePieces {
  readonly #set: PiecedSet;

  constructor(state: OrSetState) {
    this.#set = cutSet(state);
  }

  digests(prefixes: readonly string[]): PieceDigests {
    const { context, tree } = this.#set;
    return { context: cloneContext(context), summaries: summarize(tree, prefixes) };
  }

  below(prefixes: readonly string[], elements_max: number): PieceExchange {
    const pieces = new Map<string, ReadonlyMap<string, readonly Dot[]>>();
    let elements = 0;
    for (const prefix of prefixes) {
      for (const [one, found] of exchangeOf(this.#set, [prefix]).pieces) {
        pieces.set(one, found);
        elements += found.size;
      }
      if (elements >= elements_max) break;
    }
    return { pieces, context: cloneContext(this.#set.context) };
  }
}
