import { type CommitRange, type Incarnation, rangesTo, upToOf } from '@memplane/crdt';
import type { CommitVector } from './session-token.ts';

/**
 * Up to which commit of each incarnation, of this replica and of others, all is durable here. What
 * is known of others becomes durable later than the commits themselves: after a crash it may lag,
 * and what is then received again changes nothing.
 */
export class KnownVector {
  readonly #known: Map<Incarnation, number>;
  /** What others have, and of which some is here. Only those numbers that are above the known ones. */
  readonly #expected = new Map<Incarnation, number>();
  /** What is not durable yet. */
  #raised = new Map<Incarnation, number>();
  /** Counts the states that the vector was of. */
  #states = 0;
  readonly #listeners = new Set<(known: CommitVector) => void>();

  constructor(known: Iterable<readonly [Incarnation, number]>) {
    this.#known = new Map(known);
  }

  get all(): CommitVector {
    return this.#known;
  }

  /** What is in the store already. */
  set(incarnation: Incarnation, commits: number): void {
    this.#known.set(incarnation, commits);
  }

  /** The state is another one, which may have less. */
  replace(known: CommitVector): void {
    this.#states++;
    this.#known.clear();
    for (const [incarnation, commits] of known) this.#known.set(incarnation, commits);
    this.#raised.clear();
    this.#expected.clear();
  }

  /**
   * Takes what is in the store already, whoever has put it there.
   * @returns what of it was not known
   */
  discover(stored: CommitVector): CommitRange[] {
    const found = rangesTo(stored, this.#known);
    for (const { incarnation, upTo } of found) this.#known.set(incarnation, upTo);
    if (found.length > 0) this.#tell();
    return found;
  }

  forget(incarnation: Incarnation): void {
    this.#known.delete(incarnation);
  }

  /** Takes ranges whose commits are durable here. One that would leave a gap, or is old, is ignored. */
  advance(ranges: readonly CommitRange[]): void {
    let grew = false;
    for (const range of ranges) {
      if (!this.#isNext(range)) continue;
      this.#known.set(range.incarnation, range.upTo);
      this.#raised.set(range.incarnation, range.upTo);
      grew = true;
    }
    if (grew) this.#tell();
  }

  /**
   * Some of what a replica with this vector has is about to be joined in: by a delta that is joined
   * name by name, by a comparison, or by a quorum that brings one name. Until all of it is here, reads
   * show more than is known, and a token that they give must ask for that too. In memory only: after
   * a crash that came in between, tokens ask for less than was shown, until the rest has come.
   */
  expect(theirs: CommitVector): void {
    for (const [incarnation, commits] of theirs) {
      const most = Math.max(
        this.#known.get(incarnation) ?? 0,
        this.#expected.get(incarnation) ?? 0,
      );
      if (commits > most) this.#expected.set(incarnation, commits);
    }
  }

  /** All of which reads may show something. */
  get shown(): Map<Incarnation, number> {
    const shown = new Map(this.#known);
    for (const [incarnation, commits] of this.#expected) {
      if (commits > (shown.get(incarnation) ?? 0)) shown.set(incarnation, commits);
      else this.#expected.delete(incarnation);
    }
    return shown;
  }

  /** @returns how to end it */
  listen(listener: (known: CommitVector) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /**
   * Has `write` make durable what is not yet; where it fails, the next one is given it again.
   * @param ranges whose commits become durable by this very write, given beside the rest, since a
   * server may refuse to join some of them; {@link advance} follows
   */
  async write<T>(
    write: (raised: CommitVector, brought: CommitVector) => Promise<T>,
    ranges: readonly CommitRange[] = [],
  ): Promise<T> {
    const [raised, state] = [this.#raised, this.#states];
    this.#raised = new Map();
    const brought = upToOf(ranges.filter((range) => this.#isNext(range)));
    try {
      return await write(raised, brought);
    } catch (cause) {
      if (state === this.#states) this.#raised = new Map([...raised, ...this.#raised]);
      throw cause;
    }
  }

  /** It brings something, and leaves no gap. */
  #isNext({ incarnation, after, upTo }: CommitRange): boolean {
    const known = this.#known.get(incarnation) ?? 0;
    return after <= known && upTo > known;
  }

  #tell(): void {
    for (const listener of this.#listeners) listener(this.#known);
  }

  get isDurable(): boolean {
    return this.#raised.size === 0;
  }
}
