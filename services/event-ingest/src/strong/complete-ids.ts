import { type Head, idName, reach } from '../domain/strong/head.ts';

interface Known {
  /** The ids of all events up to this sequence. */
  upTo: number;
  readonly ids: Set<string>;
}

/**
 * The ids of entities of which all are known here: those whose heads were seen from their beginning
 * on, without a gap. Of an id that is not among them nobody has to be asked. Bounded: what was not
 * used for long goes first.
 */
export class CompleteIds {
  readonly #ids_max: number;
  readonly #entities = new Map<string, Known>();
  #count = 0;

  constructor(ids_max: number) {
    this.#ids_max = ids_max;
  }

  /** Takes over what a head remembers; the key is the entity's. */
  saw(key: string, head: Head): void {
    const from = reach(head);
    let known = this.#entities.get(key);
    if (known !== undefined && from > known.upTo + 1) {
      this.#forget(key, known);
      known = undefined;
    }
    if (known === undefined && from > 1) return;
    known ??= { upTo: 0, ids: new Set() };
    this.#entities.delete(key);
    this.#entities.set(key, known);
    this.#count -= known.ids.size;
    addNewest(known, head);
    this.#count += known.ids.size;
    for (const [oldest, its] of this.#entities) {
      if (this.#count <= this.#ids_max) break;
      this.#forget(oldest, its);
    }
  }

  /** Whether no event up to that sequence has the id; false where that is not known. */
  isNew(key: string, id: string, sequence: number): boolean {
    const known = this.#entities.get(key);
    return known !== undefined && known.upTo >= sequence && !known.ids.has(idName(id));
  }

  #forget(key: string, { ids }: Known): void {
    this.#entities.delete(key);
    this.#count -= ids.size;
  }
}

function addNewest(known: Known, head: Head): void {
  let sequence = head.sequence;
  for (const { ids } of head.recent.toReversed()) {
    if (sequence <= known.upTo) break;
    for (const [name] of ids) known.ids.add(name);
    sequence -= ids.length;
  }
  known.upTo = Math.max(known.upTo, head.sequence);
}
