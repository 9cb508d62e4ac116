import { MemplaneError } from '@memplane/contracts';

/** One that waits in a line. */
export interface Waiting {
  readonly isFirst: boolean;
  /** Resolves after `ms`, or earlier when it may be worth looking again. */
  rest(ms: number): Promise<void>;
  leave(): void;
}

interface Waiter {
  wake: () => void;
}

/** Lines of those that wait for something by its key: first come, first served; bounded. */
export class Lines {
  readonly #waiters_max: number;
  readonly #pause: (ms: number) => Promise<void>;
  readonly #lines = new Map<string, Waiter[]>();

  /** @param waiters_max in one line */
  constructor(waiters_max: number, pause: (ms: number) => Promise<void>) {
    this.#waiters_max = waiters_max;
    this.#pause = pause;
  }

  has(key: string): boolean {
    return this.#lines.has(key);
  }

  /** The first in the line looks again at once. */
  wake(key: string): void {
    this.#lines.get(key)?.[0]?.wake();
  }

  /** @throws MemplaneError `overloaded` */
  join(key: string): Waiting {
    const line = this.#lines.get(key) ?? [];
    const max = this.#waiters_max;
    if (line.length >= max) {
      throw new MemplaneError('overloaded', 'Too many wait for this lease.', {
        retryAfterMs: 500,
        extra: { limit: 'lease_waiters_max', max },
      });
    }
    this.#lines.set(key, line);
    const me: Waiter = { wake: () => {} };
    line.push(me);
    const leave = () => {
      line.splice(line.indexOf(me), 1);
      if (line.length === 0) this.#lines.delete(key);
      else line[0]?.wake();
    };
    const rest = async (ms: number) => {
      const { promise, resolve } = Promise.withResolvers<void>();
      me.wake = resolve;
      await Promise.race([promise, this.#pause(ms)]);
    };
    return {
      get isFirst() {
        return line[0] === me;
      },
      rest,
      leave,
    };
  }
}
