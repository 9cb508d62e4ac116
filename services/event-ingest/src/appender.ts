import { MemplaneError } from '@memplane/contracts';
import {
  type AppendOptions,
  LateAppendError,
  type LogWriter,
  type NewRecord,
  partitionOf,
} from '@memplane/event-log';
import type { DuplicateRecord, FirstAppend } from './domain/duplicate-record.ts';
import { HLC_AT, type PreparedEvent } from './domain/prepare.ts';
import type { Stamps } from './domain/stamps.ts';

/** Where one event of a request stands in the log. */
export interface Appended {
  readonly partition: number;
  readonly offset: number;
  readonly hlc: bigint;
  readonly duplicate: boolean;
  /** Of a strong entity. */
  readonly sequence?: number | undefined;
}

/**
 * The one path into the log. It recognises repetitions (within a request, among requests under way
 * and in the record of recent ids), stamps what is new and appends it.
 *
 * Stamping and the hand-over to the log happen in one turn of the event loop, so that within this
 * process stamps and offsets rise together in every partition.
 */
export class Appender {
  readonly #log: LogWriter;
  readonly #duplicates: DuplicateRecord;
  readonly #stamps: Stamps;
  readonly #restamps_max: number;
  /** Identities under way; each promise resolves when the log has answered, whatever it said. */
  readonly #pending = new Map<string, Promise<void>>();

  /** @param restamps_max how often events are stamped anew, before the log's refusal is passed on */
  constructor(log: LogWriter, duplicates: DuplicateRecord, stamps: Stamps, restamps_max: number) {
    this.#log = log;
    this.#duplicates = duplicates;
    this.#stamps = stamps;
    this.#restamps_max = restamps_max;
  }

  /** How many identities are under way. */
  get pending(): number {
    return this.#pending.size;
  }

  /**
   * Appends what is new and resolves when all of it is durable, in the order given.
   * @param fieldOf how problems name the event at an index
   * @param check throws when nothing of it may go into the log any more; called as it is handed over
   * @throws MemplaneError `id_reused`, what `check` throws, or what the log's `append` throws
   */
  async append(
    events: readonly PreparedEvent[],
    fieldOf: (index: number) => string,
    check: () => void = nothing,
  ): Promise<Appended[]> {
    // From the last look at the others to the reservation nothing may come between.
    for (let others = this.#others(events); others; others = this.#others(events)) await others;
    const { firsts, settle } = this.#reserve(events);
    try {
      if (firsts) refuseOtherContent(events, firsts, fieldOf);
      const found = this.#duplicates.find(events.map((event) => event.idKey));
      const seen = found instanceof Promise ? await found : found;
      return await this.#appendNew(events, firsts, seen, fieldOf, check);
    } finally {
      for (const event of events) this.#pending.delete(event.idKey);
      settle();
    }
  }

  /**
   * Appends what is decided already, as one batch, whether or not it is in the log: it may be there
   * twice then, and counts once.
   * @param check see {@link append}
   * @returns where these copies stand
   * @throws MemplaneError what `check` throws, or the log's `append`
   */
  async appendDecided(
    events: readonly PreparedEvent[],
    check: () => void = nothing,
  ): Promise<Appended[]> {
    const all = events.map((_, i) => i);
    const { records, offsets } = await this.#appendStamped(events, all, check, {
      together: true,
    });
    return events.map((event, i) => {
      const { partition, hlc } = records[i] as NewRecord;
      const offset = offsets[i];
      if (offset === undefined) throw new Error('the log lost a record');
      const { contentKey, digest } = event;
      this.#duplicates.remember(event.idKey, { partition, offset, hlc, contentKey, digest });
      return { partition, offset, hlc, duplicate: false };
    });
  }

  /**
   * Resolves when other requests that are appending the same identities have ended: then either the
   * record knows the first position, or the first attempt failed and this one may try. A request
   * holds no reservation while it waits, so that two can not wait for each other.
   */
  #others(events: readonly PreparedEvent[]): Promise<unknown> | undefined {
    if (this.#pending.size === 0) return undefined;
    let others: Set<Promise<void>> | undefined;
    for (const event of events) {
      const settled = this.#pending.get(event.idKey);
      if (settled) others = (others ?? new Set()).add(settled);
    }
    return others && Promise.all(others);
  }

  /** Takes the identities. `firsts` is only told where the request itself repeats one. */
  #reserve(events: readonly PreparedEvent[]): { firsts?: readonly number[]; settle: () => void } {
    const { promise, resolve: settle } = Promise.withResolvers<void>();
    const before = this.#pending.size;
    for (const event of events) this.#pending.set(event.idKey, promise);
    const isRepeating = this.#pending.size - before !== events.length;
    return isRepeating ? { firsts: firstIndices(events), settle } : { settle };
  }

  async #appendNew(
    events: readonly PreparedEvent[],
    firsts: readonly number[] | undefined,
    seen: readonly (FirstAppend | undefined)[],
    fieldOf: (index: number) => string,
    check: () => void,
  ): Promise<Appended[]> {
    const results = new Array<Appended>(events.length);
    const fresh: number[] = [];
    for (let i = 0; i < events.length; i++) {
      const event = events[i];
      if (!event) continue;
      const first = seen[i];
      if (first) {
        if (first.contentKey !== event.contentKey) throw idReused(event, fieldOf(i));
        results[i] = { ...first, duplicate: true };
      } else if (firsts === undefined || firsts[i] === i) fresh.push(i);
    }
    const { records, offsets } = await this.#appendStamped(events, fresh, check);
    for (let n = 0; n < fresh.length; n++) {
      const i = fresh[n] ?? 0;
      const event = events[i];
      const record = records[n];
      const offset = offsets[n];
      if (!event || !record || offset === undefined) throw new Error('the log lost a record');
      const { partition, hlc } = record;
      this.#duplicates.remember(event.idKey, {
        partition,
        offset,
        hlc,
        contentKey: event.contentKey,
        digest: event.digest,
      });
      results[i] = { partition, offset, hlc, duplicate: false };
    }
    // Whoever is answered may come again at once, and to another instance.
    const shared = fresh.length > 0 ? this.#duplicates.shared() : undefined;
    if (shared) await shared;
    return firsts ? withRepetitions(results, firsts) : results;
  }

  /** What missed the log's deadline goes in with a new stamp: see `produceDeadlineMs`. */
  async #appendStamped(
    events: readonly PreparedEvent[],
    fresh: readonly number[],
    check: () => void,
    options?: AppendOptions,
  ): Promise<{ records: NewRecord[]; offsets: number[] }> {
    if (fresh.length === 0) return { records: [], offsets: [] };
    for (let restamps = 0; ; restamps++) {
      // From here to the hand-over nothing may come between: the partition is one of this epoch.
      while (this.#log.growing) await this.#log.growing;
      check();
      const records = this.#stamp(events, fresh);
      try {
        return { records, offsets: await this.#log.append(records, options) };
      } catch (error) {
        const isLate = error instanceof LateAppendError;
        if (!isLate || restamps >= this.#restamps_max) throw error;
      }
    }
  }

  #stamp(events: readonly PreparedEvent[], fresh: readonly number[]): NewRecord[] {
    const digests = Buffer.allocUnsafe(fresh.length * 32);
    const { partitions } = this.#log.info;
    return fresh.map((i, n) => {
      const event = events[i] as PreparedEvent;
      const { hlc, text } = this.#stamps.next();
      event.value.write(text, HLC_AT, 17, 'latin1');
      digests.write(event.idKey, n * 32, 16, 'latin1');
      digests.write(event.digest, n * 32 + 16, 16, 'base64url');
      return {
        partition: partitionOf(event.key, partitions),
        key: event.key,
        value: event.value,
        hlc,
        idDigest: digests.subarray(n * 32, n * 32 + 16),
        contentDigest: digests.subarray(n * 32 + 16, n * 32 + 32),
      };
    });
  }
}

function nothing(): void {}

/** For each event, the index of the first one of the request with its identity: its own, mostly. */
function firstIndices(events: readonly PreparedEvent[]): number[] {
  const firsts = new Map<string, number>();
  return events.map((event, i) => {
    const first = firsts.get(event.idKey);
    if (first === undefined) firsts.set(event.idKey, i);
    return first ?? i;
  });
}

/** @throws MemplaneError `id_reused` when two events of a request differ under one identity */
function refuseOtherContent(
  events: readonly PreparedEvent[],
  firsts: readonly number[],
  fieldOf: (index: number) => string,
): void {
  for (const [i, event] of events.entries()) {
    if (events[firsts[i] ?? i]?.contentKey !== event.contentKey) throw idReused(event, fieldOf(i));
  }
}

function withRepetitions(results: Appended[], firsts: readonly number[]): Appended[] {
  for (let i = 0; i < firsts.length; i++) {
    if (results[i] !== undefined) continue;
    const first = results[firsts[i] ?? i];
    if (!first) throw new Error('a repetition without its first');
    results[i] = { ...first, duplicate: true };
  }
  return results;
}

function idReused(event: PreparedEvent, field: string): MemplaneError {
  return new MemplaneError(
    'id_reused',
    `${field}: the id ${JSON.stringify(event.id)} of ${event.entity} was used for other content.`,
    { field: `${field}.id`, extra: { id: event.id, entity: event.entity } },
  );
}
