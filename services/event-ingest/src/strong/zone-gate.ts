import { MemplaneError } from '@memplane/contracts';
import { UnderWay } from '../domain/under-way.ts';
import type { ZoneRecord } from '../domain/zones/zone-record.ts';
import { type Zone, ZoneTable } from '../domain/zones/zone-table.ts';

/** What passes through the gate, under the table of the moment in which it came. */
export interface Passage {
  /**
   * Nothing may go into the log after this was not so: an instance that stood still for longer than
   * its registration may find an entity strong that was eventual.
   * @throws MemplaneError `no_quorum` when the registration has not held all the while
   */
  check(): void;
  end(): void;
}

/**
 * What this instance goes by: the table in force, the change that is under way, and until when its
 * registration holds. Appends pass through it, so that it knows when none is left of the time before
 * a change.
 */
export class ZoneGate {
  readonly #monotonicMs: () => number;
  #table = new ZoneTable([]);
  #next: ZoneTable | undefined;
  #version = 0;
  #isKnown = false;
  #validUntilMs = Number.NEGATIVE_INFINITY;
  /** How often the registration began anew: in between others may have gone on without this one. */
  #lapses = 0;
  readonly #passing = new UnderWay();

  constructor(monotonicMs: () => number) {
    this.#monotonicMs = monotonicMs;
  }

  /** Of the table in force. */
  get version(): number {
    return this.#version;
  }

  get table(): ZoneTable {
    return this.#table;
  }

  /** What the table changes to. */
  get next(): ZoneTable | undefined {
    return this.#next;
  }

  /** Before the table was seen nothing is eventual, nor strong. */
  get isValid(): boolean {
    return this.#isKnown && this.#monotonicMs() < this.#validUntilMs;
  }

  /** Takes over what the record says. */
  see({ version, rules, change }: ZoneRecord): void {
    if (version !== this.#version || this.#table.rules.length === 0)
      this.#table = new ZoneTable(rules);
    this.#version = version;
    this.#isKnown = true;
    this.#next = change === undefined ? undefined : new ZoneTable(change.rules);
  }

  /**
   * The registration holds until then, on the steady clock.
   * @returns whether it begins anew
   */
  extend(untilMs: number): boolean {
    const isLapsed = this.#monotonicMs() >= this.#validUntilMs;
    if (isLapsed) this.#lapses++;
    this.#validUntilMs = Math.max(this.#validUntilMs, untilMs);
    return isLapsed;
  }

  /** Resolves when all that began before this has ended. */
  drained(): Promise<void> {
    return this.#passing.drained();
  }

  /**
   * An append or a raise begins.
   * @throws MemplaneError `no_quorum` without a registration
   */
  begin(): Passage {
    if (!this.isValid) throw notRegistered();
    const lapses = this.#lapses;
    return {
      check: () => {
        if (!this.isValid || this.#lapses !== lapses) throw notRegistered();
      },
      end: this.#passing.begin(),
    };
  }

  /** @throws MemplaneError `zone_changing` */
  zoneOf(entity: string): Zone {
    if (!this.#isKnown) {
      throw new MemplaneError('zone_changing', 'The zones are not known yet.', {
        retryAfterMs: 200,
        extra: { entity },
      });
    }
    const zone = this.#table.zoneOf(entity);
    if (this.#next === undefined || this.#next.zoneOf(entity) === zone) return zone;
    throw new MemplaneError('zone_changing', `The zone of ${entity} is changing.`, {
      retryAfterMs: 500,
      extra: { entity },
    });
  }

  /** @throws MemplaneError `zone_not_strong`, `zone_changing` */
  requireStrong(entity: string, field: string): void {
    if (this.zoneOf(entity) === 'strong') return;
    throw notStrong(entity, field);
  }
}

function notRegistered(): MemplaneError {
  const what = 'This instance can not reach the strong store, and so not know the zones.';
  return new MemplaneError('no_quorum', what, { retryAfterMs: 1_000 });
}

/** No promise that can't be kept: these only hold where the entity's zone is strong. */
export function notStrong(entity: string, field: string): MemplaneError {
  const why = 'where no order of writers is promised';
  const what = `${field}: ${entity} is in an eventual zone, ${why}.`;
  return new MemplaneError('zone_not_strong', what, { field, extra: { entity } });
}
