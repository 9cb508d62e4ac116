import { type LeaseAnswer, type LeaseRequestBody, MemplaneError } from '@memplane/contracts';
import { type Lease, leaseKey } from '../domain/strong/lease.ts';
import {
  forgetEntitiesProgram,
  freeProgram,
  type Releaser,
  takeProgram,
} from '../domain/strong/lease-program.ts';
import { LastOnes } from './last-ones.ts';
import { Lines } from './lines.ts';
import { renamed } from './renamed.ts';
import type { StrongEffects } from './strong-effects.ts';
import type { StrongEntities } from './strong-entities.ts';
import { notStrong, type ZoneGate } from './zone-gate.ts';

export interface LeasesOptions {
  readonly effects: StrongEffects;
  readonly entities: StrongEntities;
  /** Undefined: no entity is strong. */
  readonly gate: ZoneGate | undefined;
  /** Of one lease, in this instance. */
  readonly lease_waiters_max: number;
  readonly newNonce: () => string;
  /** Milliseconds since 1970, for the hint. */
  readonly now: () => number;
  readonly monotonicMs: () => number;
  readonly pause: (ms: number) => Promise<void>;
  readonly onOutcome: (outcome: 'granted' | 'renewed' | 'held' | 'released') => void;
}

/** How often a lease that is waited for is looked at, unless it is released here. */
const POLL_MS_MAX = 250;
const RAISES_AT_ONCE_MAX = 8;
const REMEMBERED_MAX = 10_000;

/** Leases with fencing tokens. */
export class Leases {
  readonly #options: LeasesOptions;
  readonly #lines: Lines;
  /** By key: which heads were raised to which token here. */
  readonly #raised = new LastOnes<{ readonly token: number; readonly entities: Set<string> }>(
    REMEMBERED_MAX,
  );

  constructor(options: LeasesOptions) {
    this.#options = options;
    this.#lines = new Lines(options.lease_waiters_max, options.pause);
  }

  /**
   * Takes or renews a lease, and raises the heads of its entities before it answers.
   * @throws MemplaneError `lease_held`, `stale_fencing_token`, `zone_not_strong`, `overloaded`, …
   */
  async put(
    tenant: string,
    name: string,
    body: LeaseRequestBody,
    signal: AbortSignal,
  ): Promise<LeaseAnswer> {
    const { gate, now, onOutcome } = this.#options;
    this.#requireStrong(body.entities);
    const lease = await this.#take(tenant, name, body, signal).catch((error: unknown) => {
      throw renamed(error, () => 'body');
    });
    if (lease === undefined) {
      onOutcome('held');
      throw held(name, body.ttlMs);
    }
    const grantedMs = now();
    const passage = gate?.begin();
    try {
      this.#requireStrong(body.entities);
      await this.#raiseAll(tenant, name, lease);
    } finally {
      passage?.end();
    }
    onOutcome(body.fencingToken === undefined ? 'granted' : 'renewed');
    const { holder, ttlMs } = body;
    const expiresAt = new Date(grantedMs + ttlMs).toISOString();
    return { name, holder, fencingToken: lease.token, ttlMs, expiresAt };
  }

  /** @throws MemplaneError `not_found`, `lease_held`, `stale_fencing_token`, … */
  async release(tenant: string, name: string, releaser: Releaser): Promise<void> {
    const { effects, entities, newNonce, onOutcome } = this.#options;
    const free = effects.run(freeProgram(tenant, name, releaser, newNonce()));
    const lease = await free.catch((error: unknown) => {
      throw renamed(error, () => 'query');
    });
    this.#raised.delete(leaseKey(tenant, name));
    this.#lines.wake(leaseKey(tenant, name));
    await inParts(lease.entities, (entity) =>
      entities.endGuard({ tenant, entity }, name, lease.token),
    );
    if (lease.entities.length > 0) {
      await effects.run(forgetEntitiesProgram(tenant, name, lease.token));
    }
    onOutcome('released');
  }

  #requireStrong(entities: readonly string[] = []): void {
    const { gate } = this.#options;
    for (const [i, entity] of entities.entries()) {
      const field = `body.entities[${i}]`;
      if (gate === undefined) throw notStrong(entity, field);
      gate.requireStrong(entity, field);
    }
  }

  /**
   * Nobody gets before those that wait, but who holds it already.
   * @returns undefined when another one holds it
   */
  async #take(
    tenant: string,
    name: string,
    { waitMs = 0, ...body }: LeaseRequestBody,
    signal: AbortSignal,
  ): Promise<Lease | undefined> {
    const { effects, newNonce, monotonicMs } = this.#options;
    const key = leaseKey(tenant, name);
    const request = { name, ...body, nonce: newNonce() };
    const renews = body.fencingToken !== undefined;
    if (renews || !this.#lines.has(key)) {
      const taken = await effects.run(takeProgram(tenant, request));
      if (taken.kind === 'granted') return taken.lease;
    }
    if (renews || waitMs === 0) return undefined;
    const deadline = monotonicMs() + waitMs;
    const waiting = this.#lines.join(key);
    try {
      while (monotonicMs() < deadline && !signal.aborted) {
        if (waiting.isFirst) {
          const taken = await effects.run(takeProgram(tenant, request));
          if (taken.kind === 'granted') return taken.lease;
        }
        await waiting.rest(Math.max(1, Math.min(POLL_MS_MAX, deadline - monotonicMs())));
      }
      return undefined;
    } finally {
      waiting.leave();
    }
  }

  /** The entities of an earlier holder that was gone are among them. */
  async #raiseAll(tenant: string, name: string, { token, entities: all }: Lease): Promise<void> {
    const { entities, gate } = this.#options;
    if (gate === undefined || all.length === 0) return;
    const key = leaseKey(tenant, name);
    const before = this.#raised.get(key);
    const raised = before?.token === token ? before : { token, entities: new Set<string>() };
    this.#raised.set(key, raised);
    const strong = all.filter((entity) => gate.table.zoneOf(entity) === 'strong');
    await inParts(strong, async (entity) => {
      if (raised.entities.has(entity)) return;
      await entities.raise({ tenant, entity }, gate.version, name, token);
      raised.entities.add(entity);
    });
  }
}

async function inParts<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  for (let at = 0; at < items.length; at += RAISES_AT_ONCE_MAX) {
    await Promise.all(items.slice(at, at + RAISES_AT_ONCE_MAX).map(work));
  }
}

function held(name: string, ttlMs: number): MemplaneError {
  return new MemplaneError('lease_held', `${name} is held by another.`, {
    retryAfterMs: Math.min(1_000, ttlMs),
    extra: { lease: name },
  });
}
