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
 * A fixed number of places. Those that somebody waits for go first, and as long as one of them is at
 * work no other begins: all share one thread, and a read which needs one shard must not wait for
 * all, most of all after a restart, when every shard has much to do. Some places are theirs alone. Else
 * places are given in the order of asking, and nobody is passed over for ever.
 */
export class Slots {
  readonly #free: Record<Place, number>;
  #passedOver = 0;
  readonly #waiting: Waiting[] = [];
  readonly #working = new Set<SlotUser>();

  /** @param reserved places for those alone that somebody waits for */
  constructor(count: number, reserved = 0) {
    this.#free = { common: count, reserved };
  }

  /** Whether somebody waits for a place. */
  get isContended(): boolean {
    return this.#waiting.length > 0;
  }

  /** @param user has one place at a time */
  async use<T>(user: SlotUser, work: () => Promise<T>): Promise<T> {
    const place = await new Promise<Place>((begin) => {
      this.#waiting.push({ user, begin });
      this.#fill();
    });
    try {
      return await work();
    } finally {
      this.#working.delete(user);
      this.#free[place]++;
      this.#fill();
    }
  }

  /** Somebody waits for one now that may have asked for a place before. */
  hurry(): void {
    this.#fill();
  }

  #fill(): void {
    for (;;) {
      const place = this.#free.common > 0 ? 'common' : 'reserved';
      if (this.#free[place] === 0) return;
      const next = this.#next(place);
      if (next === undefined) return;
      this.#free[place]--;
      this.#working.add(next.user);
      next.begin(place);
    }
  }

  #next(place: Place): Waiting | undefined {
    const awaited = this.#waiting.findIndex(({ user }) => user.isAwaited);
    const isLongest = awaited === 0;
    const isPassedOver = this.#waiting.length > 0 && !isLongest;
    if (place === 'common' && isPassedOver && this.#passedOver >= PASSED_OVER_MAX) {
      this.#passedOver = 0;
      return this.#waiting.shift();
    }
    if (awaited >= 0) {
      this.#passedOver = isLongest ? 0 : this.#passedOver + 1;
      return this.#waiting.splice(awaited, 1)[0];
    }
    if (place === 'reserved' || this.#isAwaitedAtWork) return undefined;
    this.#passedOver = 0;
    return this.#waiting.shift();
  }

  get #isAwaitedAtWork(): boolean {
    return [...this.#working].some((user) => user.isAwaited);
  }
}
