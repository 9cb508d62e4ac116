const TEXT =
  'The order arrived late and the box was open, so I would like to send it back please. ';

/** Digits that ids are written with; see {@link EventBatch}. */
const DIGITS = 12;

/**
 * The JSON of a batch of events, about 400 bytes each, kept as bytes: a new batch differs in its
 * ids only, which are overwritten in place, so that making load costs next to nothing.
 */
export class EventBatch {
  readonly bytes: Buffer;
  readonly count: number;
  readonly #places: readonly number[];

  /** @param single one event by itself, without an array around it */
  constructor(count: number, entities: number, seed: number, single = false) {
    const events = Array.from({ length: count }, (_, i) => eventOf(seed * 7919 + i, entities));
    this.bytes = Buffer.from(JSON.stringify(single ? events[0] : events));
    this.count = count;
    const places: number[] = [];
    const mark = '0'.repeat(DIGITS);
    for (let at = this.bytes.indexOf(mark); at >= 0; at = this.bytes.indexOf(mark, at + DIGITS)) {
      places.push(at);
    }
    this.#places = places;
  }

  /** Gives all events new ids, counted from `first`. */
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

function eventOf(n: number, entities: number): unknown {
  return {
    id: `e-${'0'.repeat(DIGITS)}`,
    type: n % 2 === 0 ? 'UserMessageSent' : 'AgentReplied',
    entity: `user/${(n * 2_654_435_761) % entities}`,
    source: `agent-${n % 16}`,
    time: '2026-01-31T09:30:00.000Z',
    data: { text: (TEXT + TEXT).slice(0, 148 + (n % 24)), turn: n % 40, channel: 'email' },
    attributes: { lastTurn: n % 40, status: n % 3 === 0 ? 'open' : 'waiting' },
    correlationId: `run-${n % 1000}`,
  };
}
