import { clusteredVectors, nextAsBase64, type VectorSource } from '@memplane/testkit';
import { CLASSES, SEEDS, words } from './recall.ts';

const TEXT =
  'The order arrived late and the box was open, so I would like to send it back please. ';

/** Digits that ids are written with; see {@link NumberedBody}. */
const DIGITS = 12;
const MARK = '0'.repeat(DIGITS);

/**
 * The JSON of a request, kept as bytes: a new one differs in its ids only, which are overwritten in
 * place, so that making load costs next to nothing.
 */
class NumberedBody {
  readonly bytes: Buffer;
  readonly count: number;
  readonly #places: readonly number[];

  constructor(body: unknown, count: number) {
    this.bytes = Buffer.from(JSON.stringify(body));
    this.count = count;
    const places: number[] = [];
    for (let at = this.bytes.indexOf(MARK); at >= 0; at = this.bytes.indexOf(MARK, at + DIGITS)) {
      places.push(at);
    }
    this.#places = places;
  }

  /** Gives all events new ids, counted from `first`; an id repeated within the body stays so. */
  renumber(first: number): void {
    let id = first;
    for (const at of this.#places) {
      let rest = id++;
      for (let i = DIGITS - 1; i >= 0; i--) {
        this.bytes[at + i] = 0x30 + (rest % 10);
        rest = Math.floor(rest / 10);
      }
    }
  }
}

/** Events of about 400 bytes each. */
export class EventBatch extends NumberedBody {
  /** @param single one event by itself, without an array around it */
  constructor(count: number, entities: number, seed: number, single = false) {
    const events = Array.from({ length: count }, (_, i) => eventOf(seed * 7919 + i, entities));
    super(single ? events[0] : events, count);
  }
}

/** One in this many of {@link MixedBatch}'s events carries a memory with a vector. */
export const MEMORY_EVERY = 10;

/**
 * What agents do: mostly events of about 400 bytes, and among ten one that is a memory with a text
 * of 15 words, metadata and a vector of 768 dimensions (in base64), about 5 KB.
 */
export class MixedBatch extends NumberedBody {
  constructor(count: number, entities: number, seed: number) {
    const vectors = clusteredVectors({ seed });
    const events = Array.from({ length: count }, (_, i) => {
      const n = seed * 7919 + i;
      const event = eventOf(n, entities);
      return i % MEMORY_EVERY === 0 ? { ...event, memory: memoryOf(n, vectors) } : event;
    });
    super(events, count);
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

function eventOf(n: number, entities: number) {
  return {
    id: `e-${MARK}`,
    type: n % 2 === 0 ? 'UserMessageSent' : 'AgentReplied',
    entity: `user/${(n * 2_654_435_761) % entities}`,
    source: `agent-${n % 16}`,
    time: '2026-01-31T09:30:00.000Z',
    data: { text: (TEXT + TEXT).slice(0, 148 + (n % 24)), turn: n % 40, channel: 'email' },
    attributes: { lastTurn: n % 40, status: n % 3 === 0 ? 'open' : 'waiting' },
    correlationId: `run-${n % 1000}`,
  };
}
