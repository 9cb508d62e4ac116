import type { Core } from './core.ts';
import { MemplaneError } from './errors.ts';
import type { CallOptions } from './http.ts';
import { sleep } from './sleep.ts';
import { uuidV7 } from './uuid.ts';

export interface LeaseOptions extends CallOptions {
  /** How long the lease lasts without a renewal, in milliseconds; 10,000. */
  readonly ttlMs?: number;
  /** Strong entities that take no append without the lease's token meanwhile. */
  readonly entities?: readonly string[];
  /** How long to wait for a lease that another one holds, in milliseconds; 0: not at all. */
  readonly waitMs?: number;
  /** Unlike that of any other holder; made by default. */
  readonly holder?: string;
}

/** A lease as long as it is held. */
export interface HeldLease {
  /** The members that appends carry: `append({...event, ...held.guard})`. */
  readonly guard: { readonly lease: string; readonly fencingToken: number };
  readonly name: string;
  readonly fencingToken: number;
  /** Aborted as soon as the lease may be another's. */
  readonly signal: AbortSignal;
}

interface Granted {
  readonly fencingToken: number;
  readonly sentAtMs: number;
}

const TTL_MS = 10_000;
/** A renewal every third of the time: two may be lost. */
const RENEWALS = 3;
const WAIT_STEP_MS = 5_000;
const RETRY_MS = 100;

/** @throws MemplaneError `lease_held` when it is another's for longer than `waitMs` */
export async function withLease<T>(
  core: Core,
  name: string,
  work: (held: HeldLease) => Promise<T> | T,
  options: LeaseOptions,
): Promise<T> {
  const lease = new Lease(core, name, options);
  const granted = await lease.acquire();
  const held = new AbortController();
  const { fencingToken } = granted;
  const signal = options.signal ? AbortSignal.any([options.signal, held.signal]) : held.signal;
  const keeping = lease.keep(granted, held);
  try {
    const guard = { lease: name, fencingToken };
    return await work({ guard, name, fencingToken, signal });
  } finally {
    lease.end();
    await keeping;
    await lease.release(fencingToken);
  }
}

class Lease {
  readonly #core: Core;
  readonly #path: string;
  readonly #options: LeaseOptions;
  readonly #ttlMs: number;
  readonly #holder: string;
  readonly #ending = new AbortController();

  constructor(core: Core, name: string, options: LeaseOptions) {
    if (!/^[A-Za-z0-9._~:@-]{1,128}$/.test(name)) {
      const message = `"${name}" is no name of a lease.`;
      throw new MemplaneError('invalid_argument', message, { field: 'name' });
    }
    this.#core = core;
    this.#path = `/v1/leases/${name}`;
    this.#options = options;
    this.#ttlMs = options.ttlMs ?? TTL_MS;
    this.#holder = options.holder ?? uuidV7();
  }

  async acquire(): Promise<Granted> {
    const { waitMs = 0, signal, entities } = this.#options;
    const deadline = performance.now() + waitMs;
    for (;;) {
      const left = Math.max(0, deadline - performance.now());
      try {
        const more = { waitMs: Math.round(Math.min(left, WAIT_STEP_MS)), entities };
        const granted = await this.#put(more, undefined);
        const isFresh = performance.now() - granted.sentAtMs < this.#ttlMs / RENEWALS;
        // Its time began with the sending, and the plane has let it wait.
        return isFresh ? granted : await this.#put({ fencingToken: granted.fencingToken });
      } catch (error) {
        const isHeld = error instanceof MemplaneError && error.code === 'lease_held';
        if (!isHeld || performance.now() >= deadline) throw error;
        await sleep(Math.min(RETRY_MS, left), signal);
      }
    }
  }

  /** Renews until it is ended; aborts what is done under the lease when its time is over. */
  async keep({ fencingToken, sentAtMs }: Granted, held: AbortController): Promise<void> {
    let validUntilMs = sentAtMs + this.#ttlMs;
    const lose = (cause?: unknown) => {
      held.abort(
        new MemplaneError('lease_lost', "The lease may be another holder's by now.", { cause }),
      );
    };
    let timer = setTimeout(lose, validUntilMs - performance.now());
    const { signal } = this.#ending;
    let pauseMs = this.#ttlMs / RENEWALS;
    while (!signal.aborted && !held.signal.aborted) {
      await sleep(pauseMs, AbortSignal.any([signal, held.signal])).catch(() => {});
      if (signal.aborted || held.signal.aborted) break;
      try {
        const timeoutMs = Math.max(1, Math.floor(validUntilMs - performance.now()));
        const renewed = await this.#put({ fencingToken }, timeoutMs);
        validUntilMs = renewed.sentAtMs + this.#ttlMs;
        clearTimeout(timer);
        timer = setTimeout(lose, Math.max(0, validUntilMs - performance.now()));
        pauseMs = this.#ttlMs / RENEWALS;
      } catch (error) {
        if (error instanceof MemplaneError && error.code === 'stale_fencing_token') lose(error);
        pauseMs = Math.min(RETRY_MS, this.#ttlMs / RENEWALS);
      }
    }
    clearTimeout(timer);
  }

  end(): void {
    this.#ending.abort();
  }

  /** What fails here ends by itself when the time of the lease is over. */
  async release(fencingToken: number): Promise<void> {
    await this.#core.http
      .json({
        service: 'event-ingest',
        method: 'DELETE',
        path: this.#path,
        query: { fencingToken },
        timeoutMs: Math.min(this.#ttlMs, this.#core.settings.timeoutMs),
        repeat: 'always',
      })
      .catch(() => {});
  }

  async #put(
    more: { fencingToken?: number; waitMs?: number; entities?: readonly string[] | undefined },
    timeoutMs?: number,
  ): Promise<Granted> {
    const sentAtMs = performance.now();
    const { signal } = this.#options;
    const answer = await this.#core.http.json({
      ...(signal === undefined ? {} : { signal }),
      ...(timeoutMs === undefined ? {} : { timeoutMs }),
      service: 'event-ingest',
      method: 'PUT',
      path: this.#path,
      body: { holder: this.#holder, ttlMs: this.#ttlMs, ...more },
      repeat: 'refused',
    });
    const { fencingToken } = (answer ?? {}) as { fencingToken?: unknown };
    if (typeof fencingToken !== 'number') {
      throw new MemplaneError('bad_answer', 'The answer about a lease is not one of a plane.');
    }
    return { fencingToken, sentAtMs };
  }
}
