/** Who asks for a place. */
export interface SlotUser {
  /** Somebody waits for what this one has to do. */
  readonly isAwaited: boolean;
}

interface Waiting {
  readonly user: SlotUser;
  readonly begin: () => void;
}

/** How often in a row the longest waiting may be passed over. */
const PASSED_OVER_MAX = 3;

/**
 * A fixed number of places. Those that somebody waits for go first, so that a read which needs one
 * shard does not wait for all: most of all after a restart, when every shard has much to do. Else
 * places are given in the order of asking, and nobody is passed over for ever.
 */
export class Slots {
  #free: number;
  #passedOver = 0;
  readonly #waiting: Waiting[] = [];

  constructor(count: number) {
    this.#free = count;
  }

  /** Whether somebody waits for a place. */
  get isContended(): boolean {
    return this.#waiting.length > 0;
  }

  async use<T>(user: SlotUser, work: () => Promise<T>): Promise<T> {
    if (this.#free > 0) this.#free--;
    else await new Promise<void>((begin) => this.#waiting.push({ user, begin }));
    try {
      return await work();
    } finally {
      const next = this.#next();
      if (next === undefined) this.#free++;
      else next.begin();
    }
  }

  #next(): Waiting | undefined {
    const awaited = this.#waiting.findIndex(({ user }) => user.isAwaited);
    if (awaited <= 0 || this.#passedOver >= PASSED_OVER_MAX) {
      this.#passedOver = 0;
      return this.#waiting.shift();
    }
    this.#passedOver++;
    return this.#waiting.splice(awaited, 1)[0];
  }
}
