import { emptySet, type OrSetState } from '@memplane/crdt';
import type { Ref } from '../../domain/port.ts';
import { type SetPieces, WholePieces } from '../../domain/set-pieces.ts';

/** How long a set that was cut is kept after its last question. */
const KEPT_MS = 5_000;

/** A set as of one moment, and the record of its header, which tells whether it is still that. */
export interface SetAtOnce {
  readonly header: Buffer | undefined;
  readonly state: OrSetState | undefined;
}

export interface SetSource {
  header(ref: Ref): Promise<Buffer | undefined>;
  /** @throws MemplaneError `storage_damaged` */
  read(ref: Ref): Promise<SetAtOnce>;
}

interface CutSet extends Ref {
  readonly header: Buffer | undefined;
  readonly pieces: WholePieces;
}

/**
 * Pieces of sets that stand in Redis as a whole: they are cut when somebody asks. SHA-256, by which
 * elements are placed and compared, is nothing that a function there could compute while all others
 * wait. The questions of a comparison follow each other, so the last set is kept for a moment; its
 * header has the sum of its elements' checksums, so one that is the same says that the set is.
 */
export class RedisPieces implements SetPieces {
  readonly #source: SetSource;
  #last: CutSet | undefined;
  #expiry: NodeJS.Timeout | undefined;

  constructor(source: SetSource) {
    this.#source = source;
  }

  async digests(ref: Ref, prefixes: readonly string[]) {
    return (await this.#cut(ref)).digests(prefixes);
  }

  async below(ref: Ref, prefixes: readonly string[], elements_max: number) {
    return (await this.#cut(ref)).below(prefixes, elements_max);
  }

  async #cut({ tenant, name }: Ref): Promise<WholePieces> {
    const last = this.#last;
    clearTimeout(this.#expiry);
    this.#expiry = setTimeout(() => {
      this.#last = undefined;
    }, KEPT_MS);
    this.#expiry.unref();
    if (last?.name === name && last.tenant === tenant && last.header !== undefined) {
      const header = await this.#source.header({ tenant, name });
      if (header?.equals(last.header)) return last.pieces;
    }
    // Before the next one is read, so that there is never more than one.
    this.#last = undefined;
    const { header, state } = await this.#source.read({ tenant, name });
    const pieces = new WholePieces(state ?? emptySet());
    this.#last = { tenant, name, header, pieces };
    return pieces;
  }
}
