import type { Logger } from '@memplane/runtime';
import type { DaprState } from '@memplane/runtime/dapr';
import type { KeptDeadLetter } from '../domain/dead-letter.ts';

/** Knows which dead letters were re-driven, for those who look. Nothing depends on it. */
export interface RedriveRecord {
  /** When each was re-driven, in RFC 3339; undefined where that can not be told. */
  find(letters: readonly KeptDeadLetter[]): Promise<readonly (string | undefined)[] | undefined>;
  mark(letter: KeptDeadLetter): Promise<void>;
}

/** A day longer than dead letters are kept by default. */
const TTL_SECONDS = 8 * 24 * 3_600;
const TIMEOUT_MS = 2_000;

export class DaprRedriveRecord implements RedriveRecord {
  readonly #state: DaprState;
  readonly #logger: Logger;
  readonly #now: () => number;

  constructor(state: DaprState, logger: Logger, now: () => number) {
    this.#state = state;
    this.#logger = logger;
    this.#now = now;
  }

  async find(letters: readonly KeptDeadLetter[]) {
    const keys = letters.map(keyOf);
    try {
      const found = await this.#state.getBulk(keys, { timeoutMs: TIMEOUT_MS });
      return keys.map((key) => {
        const value = found.get(key)?.value;
        return typeof value === 'string' ? value : undefined;
      });
    } catch (error) {
      this.#logger.warn({ err: error }, 'it is not known which dead letters were re-driven');
      return undefined;
    }
  }

  async mark(letter: KeptDeadLetter): Promise<void> {
    const value = new Date(this.#now()).toISOString();
    const item = { key: keyOf(letter), value, ttlSeconds: TTL_SECONDS };
    try {
      await this.#state.save([item], { timeoutMs: TIMEOUT_MS });
    } catch (error) {
      this.#logger.warn({ err: error }, 'a re-driven dead letter could not be marked');
    }
  }
}

/** With its time, since the topic may be made anew. */
function keyOf({ partition, offset, letter }: KeptDeadLetter): string {
  return `redriven.${partition}.${offset}.${Date.parse(letter.deadAt) || 0}`;
}
