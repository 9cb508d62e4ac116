import type { Versioned, WriteOutcome } from '@memplane/runtime/strong';
import type { Head } from './head.ts';

/** An event of an intent: written out, but for its stamp. */
export interface IntentEvent {
  readonly id: string;
  /** base64url SHA-256 of its content. */
  readonly digest: string;
  /** The CloudEvent in JSON, with its sequence. */
  readonly text: string;
}

/** What is decided to be in the log next, and may not be there yet. */
export interface Intent {
  /** Of the append that wrote it. */
  readonly nonce: string;
  readonly events: readonly IntentEvent[];
}

/** Where an event stands in the log. */
export interface Place {
  readonly partition: number;
  readonly offset: number;
  readonly hlc: bigint;
}

/** An event that an entity already has. */
export interface Located extends Place {
  readonly digest: string;
  /** Of the entity with this event; undefined when only its place is known. */
  readonly sequence: number | undefined;
}

/**
 * Throws where others may have gone on without this instance: what it is about to do may be of before
 * an erasure, and sealed with a key that is gone.
 */
export type Check = (() => void) | undefined;

/** Entity and tenant. */
export interface EntityName {
  readonly tenant: string;
  readonly entity: string;
}

/**
 * What the work on strong entities asks of the world. The work itself is written as programs
 * (generators) that yield these one by one: so that a test can run many of them in any order, lose
 * answers and end them between any two steps.
 */
export type Effect =
  /** Answered by `Versioned | undefined`; where that may be old, by what was seen here last. */
  | { readonly do: 'get'; readonly key: string; readonly mayBeOld: boolean }
  /** Without a version: creates. Answered by a `WriteOutcome`. */
  | {
      readonly do: 'write';
      readonly key: string;
      readonly value: string;
      readonly version: string | undefined;
    }
  /**
   * Appends the events to the log, once more if need be, unless `check` throws right before; answered
   * by a `Place` for each.
   */
  | {
      readonly do: 'produce';
      readonly of: EntityName;
      readonly intent: Intent;
      readonly check: Check;
    }
  /** The sequence of the view once it holds all that the log held when this was asked. */
  | { readonly do: 'sequence'; readonly of: EntityName }
  /** Tells of a head that was read, with the ids that it remembers. */
  | { readonly do: 'saw'; readonly of: EntityName; readonly head: Head }
  /**
   * An event by its id, as of a view that has at least `sequence`; answered by
   * `Located | undefined`.
   */
  | {
      readonly do: 'locate';
      readonly of: EntityName;
      readonly id: string;
      readonly sequence: number;
    }
  /** Whether this version was seen unchanged, by a steady clock, for that long. */
  | {
      readonly do: 'expired';
      readonly key: string;
      readonly version: string;
      readonly ttlMs: number;
    }
  /** Lets others go first, longer each time. */
  | { readonly do: 'pause'; readonly attempt: number };

export type Program<T> = Generator<Effect, T, unknown>;

export function* get(key: string, mayBeOld = false): Program<Versioned | undefined> {
  return (yield { do: 'get', key, mayBeOld }) as Versioned | undefined;
}

export function* saw(of: EntityName, head: Head): Program<void> {
  yield { do: 'saw', of, head };
}

export function* write(
  key: string,
  value: string,
  version: string | undefined,
): Program<WriteOutcome> {
  return (yield { do: 'write', key, value, version }) as WriteOutcome;
}

export function* produce(of: EntityName, intent: Intent, check: Check): Program<readonly Place[]> {
  return (yield { do: 'produce', of, intent, check }) as readonly Place[];
}

export function* viewSequence(of: EntityName): Program<number> {
  return (yield { do: 'sequence', of }) as number;
}

export function* locate(
  of: EntityName,
  id: string,
  sequence: number,
): Program<Located | undefined> {
  return (yield { do: 'locate', of, id, sequence }) as Located | undefined;
}

export function* isExpired(key: string, version: string, ttlMs: number): Program<boolean> {
  return (yield { do: 'expired', key, version, ttlMs }) as boolean;
}

export function* pauseBefore(attempt: number): Program<void> {
  if (attempt > 0) yield { do: 'pause', attempt };
}
