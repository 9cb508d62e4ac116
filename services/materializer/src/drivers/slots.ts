/** Who asks for a place. */
export interface SlotUser {
  /** Somebody waits for what this one has to do. */
  readonly isAwaited: boolean;
}

interface Waiting {
  readonly user: SlotUser;
  readonly begin: (place: Place) => void;
}

/** How often in a row the longest waiting may be passed over. */
const PASSED_OVER_MAX = 3;

type Place = 'common' | 'reserved';

/**
 * A fixed number of places. Those that somebody waits for go first, so that a read which needs one
 * shard does not wait for all: most of all after a restart, when every shard has much to do. Some
 * places are theirs alone. Else places are given in the order of asking, and nobody is passed over
 * for ever.
 */
export class Slots {
  readonly #free: Record<Place, number>;
  #passedOver = 0;
  readonly #waiting: Waiting[] = [];

  /** @param reserved places for those alone that somebody waits for */
  constructor(count: number, reserved = 0) {
    this.#free = { common: count, reserved };
  }

  /** Whether somebody waits for a place. */
  get isContended(): boolean {
    return this.#waiting.length > 0;
  }

  async use<T>(user: SlotUser, work: () => Promise<T>): Promise<T> {
    const place = await this.#take(user);
    try {
      return await work();
    } finally {
      const next = place === 'common' ? this.#next() : this.#takeAwaited();
      if (next === undefined) this.#free[place]++;
      else next.begin(place);
    }
  }

  /** Somebody waits for this one now; it may have asked for a place before. */
  hurry(user: SlotUser): void {
    if (this.#free.reserved === 0) return;
    const index = this.#waiting.findIndex((waiting) => waiting.user === user);
    const [found] = index < 0 ? [] : this.#waiting.splice(index, 1);
    if (found === undefined) return;
    this.#free.reserved--;
    found.begin('reserved');
  }

  #take(user: SlotUser): Place | Promise<Place> {
    const place = this.#free.common > 0 ? 'common' : 'reserved';
    if (this.#free[place] > 0 && (place === 'common' || user.isAwaited)) {
      this.#free[place]--;
      return place;
    }
    return new Promise((begin) => this.#waiting.push({ user, begin }));
  }

  #takeAwaited(): Waiting | undefined {
    const index = this.#waiting.findIndex(({ user }) => user.isAwaited);
    return index < 0 ? undefined : this.#waiting.splice(index, 1)[0];
  }

  #next(): Waiting | undefined {
    const longest = this.#waiting[0];
    if (longest === undefined || longest.user.isAwaited || this.#passedOver >= PASSED_OVER_MAX) {
      this.#passedOver = 0;
      return this.#waiting.shift();
    }
    const awaited = this.#takeAwaited();
    if (awaited === undefined) return this.#waiting.shift();
    this.#passedOver++;
    return awaited;
  }
}
