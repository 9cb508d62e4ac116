import { clusteredVectors, nextAsBase64, type VectorSource } from '@memplane/testkit';
import { CLASSES, SEEDS, words } from './recall.ts';

const TEXT =
  'The order arrived late and the box was open, so I would like to send it back please. ';

/** Digits that numbers in ids are written with. */
const DIGITS = 12;
const ID = '0'.repeat(DIGITS);
const ENTITY = '9'.repeat(DIGITS);
const MARKS = new RegExp(`(e-|m-)${ID}|/${ENTITY}`, 'g');

interface Place {
  readonly at: number;
  /** Of the event in the body. */
  readonly index: number;
  readonly isEntity: boolean;
}

/**
 * The JSON of a request, kept as bytes: a new one differs in its ids and entities only, which are
 * overwritten in place, so that making load costs next to nothing.
 */
class NumberedBody {
  readonly bytes: Buffer;
  readonly count: number;
  readonly #entities: number;
  readonly #places: readonly Place[];

  constructor(body: unknown, count: number, entities: number) {
    const text = JSON.stringify(body);
    // All of it is ASCII: the places in the text are those in the bytes.
    this.bytes = Buffer.from(text, 'latin1');
    this.count = count;
    this.#entities = entities;
    let index = -1;
    this.#places = Array.from(text.matchAll(MARKS), (match) => {
      const [mark, id] = match;
      if (id === 'e-') index++;
      return { at: match.index + mark.length - DIGITS, index, isEntity: id === undefined };
    });
  }

  /**
   * Gives all events new ids, counted from `first`, and the entities and memories that go with them.
   * @param entity the number of the one that all are about, instead
   */
  renumber(first: number, entity?: number): void {
    for (const { at, index, isEntity } of this.#places) {
      const id = first + index;
      let rest = isEntity ? (entity ?? scattered(id) % this.#entities) : id;
      for (let i = DIGITS - 1; i >= 0; i--) {
        this.bytes[at + i] = 0x30 + (rest % 10);
        rest = Math.floor(rest / 10);
      }
    }
  }
}

/** 32 bits that look like chance, the same for the same number (the finalizer of MurmurHash3). */
function scattered(n: number): number {
  let h = n % 2 ** 32;
  h = Math.imul(h ^ (h >>> 16), 0x85eb_ca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2_ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

/** Events of about 400 bytes each, or more by a longer text. */
export class EventBatch extends NumberedBody {
  /**
   * @param single one event by itself, without an array around it
   * @param kind of its entities
   */
  constructor(
    count: number,
    entities: number,
    seed: number,
    { single = false, kind = 'user', textChars = 0 } = {},
  ) {
    const more = textChars === 0 ? {} : { more: words(textChars / 6).slice(0, textChars) };
    const events = Array.from({ length: count }, (_, i) => {
      const event = eventOf(seed * 7919 + i, kind);
      return { ...event, data: { ...event.data, ...more } };
    });
    super(single ? events[0] : events, count, entities);
  }
}

/** One in this many of {@link MixedBatch}'s events carries a memory with a vector. */
export const MEMORY_EVERY = 10;

/**
 * What agents do: mostly events of about 400 bytes, and among ten one that is a memory with a text
 * of 15 words, metadata and a vector of 768 dimensions (in base64), about 5 KB.
 */
export class MixedBatch extends NumberedBody {
  constructor(count: number, entities: number, seed: number, vectors = clusteredVectors({ seed })) {
    const events = Array.from({ length: count }, (_, i) => {
      const n = seed * 7919 + i;
      if (i % MEMORY_EVERY !== 0) return eventOf(n);
      return { ...eventOf(n), memory: { ...memoryOf(n, vectors), id: `m-${ID}` } };
    });
    super(events, count, entities);
  }
}

/** The events of the search benchmarks, `batch` at a time, made as they are sent. */
export function* memoryBatches(rows: number, batch: number): Generator<unknown> {
  const source = clusteredVectors({ seed: SEEDS.vectors });
  for (let at = 0; at < rows; at += batch) {
    yield Array.from({ length: Math.min(batch, rows - at) }, (_, i) => {
      const n = at + i;
      const memory = memoryOf(n, source);
      return { id: `e${n}`, type: 'Remembered', entity: `user/${n % 12_000}`, memory };
    });
  }
}

/** A memory in the words and vectors of the search benchmarks. */
export function memoryOf(n: number, vectors: VectorSource) {
  const values = nextAsBase64(vectors);
  const metadata = { n: n % CLASSES };
  return { id: `m${n}`, text: words(15), metadata, embedding: { model: 'bench', values } };
}

function eventOf(n: number, kind = 'user') {
  return {
    id: `e-${ID}`,
    type: n % 2 === 0 ? 'UserMessageSent' : 'AgentReplied',
    entity: `${kind}/${ENTITY}`,
    source: `agent-${n % 16}`,
    time: '2026-01-31T09:30:00.000Z',
    data: { text: (TEXT + TEXT).slice(0, 148 + (n % 24)), turn: n % 40, channel: 'email' },
    attributes: { lastTurn: n % 40, status: n % 3 === 0 ? 'open' : 'waiting' },
    correlationId: `run-${n % 1000}`,
  };
}
