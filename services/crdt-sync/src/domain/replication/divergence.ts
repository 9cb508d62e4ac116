import { coversVector, type ReadonlyVector } from '@memplane/crdt';
import { areEven, type Compared, type Difference } from './comparing.ts';

export type Why =
  | 'damaged here'
  | 'damaged there'
  | 'not yet received'
  | 'unknown: changed by hand or lost with a tail';

export interface ObservedDifference extends Difference {
  /** Milliseconds since 1970, of the first comparison of this process that saw the name differ. */
  readonly sinceMs: number;
  readonly why: Why;
  /** No commit that is on its way explains it. */
  readonly persists: boolean;
}

interface Seen {
  readonly sinceMs: number;
  /** The two values, and what each replica had, when these two were first seen. */
  readonly difference: Difference;
  readonly known: ReadonlyVector;
  readonly theirs: ReadonlyVector;
}

export interface DivergenceOptions {
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** Of one replica, that are remembered until the next comparison with it. */
  readonly differences_max: number;
}

/**
 * Remembers which values differed from those of other replicas. While replicas work, some always do:
 * commits are on their way. What still differs, with the very same two values, once each replica has
 * all the commits that the other had at the first look, no commit explains.
 */
export class Divergence {
  readonly #options: DivergenceOptions;
  readonly #seen = new Map<string, Map<string, Seen>>();

  constructor(options: DivergenceOptions) {
    this.#options = options;
  }

  /** Takes note of a comparison. @param damaged names that are damaged here, or there */
  observe(
    peer: string,
    compared: Compared,
    damaged: { readonly here: ReadonlySet<string>; readonly there: ReadonlySet<string> },
  ): ObservedDifference[] {
    const before = this.#seen.get(peer);
    const seen = new Map<string, Seen>();
    const observed = compared.differing.map((difference) => {
      const place = `${difference.type} ${difference.key}`;
      const last = before?.get(place);
      const now = this.#look(difference, compared, last);
      if (seen.size < this.#options.differences_max) seen.set(place, now);
      const persists =
        coversVector(compared.known, now.theirs) && coversVector(compared.theirs, now.known);
      const isSecondLook = last !== undefined && isSame(last.difference, difference);
      const why = whyOf(difference, damaged, persists || areEven(compared));
      return { ...difference, sinceMs: now.sinceMs, why, persists: isSecondLook && persists };
    });
    this.#seen.set(peer, seen);
    return observed;
  }

  /** Forgets replicas that are not there any more. */
  keepOnly(peers: readonly string[]): void {
    for (const peer of this.#seen.keys()) if (!peers.includes(peer)) this.#seen.delete(peer);
  }

  #look(difference: Difference, { known, theirs }: Compared, last: Seen | undefined): Seen {
    if (last !== undefined && isSame(last.difference, difference)) return last;
    const sinceMs = last?.sinceMs ?? this.#options.now();
    return { sinceMs, difference, known, theirs };
  }
}

function whyOf(
  { key }: Difference,
  damaged: { readonly here: ReadonlySet<string>; readonly there: ReadonlySet<string> },
  isEven: boolean,
): Why {
  if (damaged.here.has(key)) return 'damaged here';
  if (damaged.there.has(key)) return 'damaged there';
  return isEven ? 'unknown: changed by hand or lost with a tail' : 'not yet received';
}

function isSame(a: Difference, b: Difference): boolean {
  return a.here === b.here && a.there === b.there;
}
