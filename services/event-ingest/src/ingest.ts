import { parseHlc } from '@memplane/clock';
import { DEFAULT_TENANT, encodeToken, MemplaneError } from '@memplane/contracts';
import { type LogWriter, partitionOf } from '@memplane/event-log';
import type { Appended, Appender } from './appender.ts';
import type { ArchiveGauge } from './archive-gauge.ts';
import type { Admission } from './domain/admission.ts';
import { type PreparedEvent, quoted } from './domain/prepare.ts';
import type { CarriedHlc, PreparedBody } from './domain/prepare-body.ts';
import type { StoredLimits } from './domain/quotas/stored-limits.ts';
import type { TenantRates } from './domain/quotas/tenant-rates.ts';
import type { Stamps } from './domain/stamps.ts';
import type { ErasureGate, ErasurePassage } from './erasures/erasure-gate.ts';
import type { FollowerLags } from './follower-lags.ts';
import type { IngestMetrics } from './metrics.ts';
import type { Sealer } from './sealing/sealer.ts';
import type { StallWatch } from './stall-watch.ts';
import { refuseConditions, type Split, type StrongAppends } from './strong/strong-appends.ts';
import type { Passage } from './strong/zone-gate.ts';

export interface IngestParts {
  readonly log: Pick<LogWriter, 'info'>;
  readonly appender: Appender;
  readonly admission: Admission;
  readonly rates: TenantRates;
  readonly stored: StoredLimits;
  readonly stamps: Stamps;
  readonly metrics: IngestMetrics;
  readonly archive: ArchiveGauge | undefined;
  readonly followers: FollowerLags | undefined;
  /** Without it, appends wait for the log alone. */
  readonly stall: StallWatch | undefined;
  /** Undefined: every entity is eventual. */
  readonly strong: StrongAppends | undefined;
  /** Undefined: no entity can be sealed. */
  readonly sealer: Sealer | undefined;
  /** Undefined: no entity can be erased. */
  readonly erasures: ErasureGate | undefined;
  /** Resolves when the record of recent ids has been read, and the zones are known. */
  readonly ready: Promise<void>;
  /** Told how each append ended; undefined for a success. */
  readonly onOutcome: (error: MemplaneError | undefined) => void;
}

/** What a request is answered: the text of an `AppendAnswer`. */
export type AnswerText = string;

/** From checked events to their durable positions. */
export class Ingest {
  readonly #parts: IngestParts;

  constructor(parts: IngestParts) {
    this.#parts = parts;
  }

  /**
   * Appends the events of one request and answers once they are durable.
   * @throws MemplaneError `archive_behind`, `views_behind`, `index_behind`, `hlc_too_far_ahead`,
   * `stored_quota_exceeded`, `quota_exceeded`, `overloaded`, `id_reused`, `erasing`, or what sealing, strong appends and the
   * log throw; nothing is acknowledged then
   */
  async append(body: PreparedBody, tenant = DEFAULT_TENANT): Promise<AnswerText> {
    const { events, carried } = body;
    const { admission, archive, followers, rates, stall, stored } = this.#parts;
    archive?.check();
    followers?.check();
    stall?.check();
    stored.check(tenant, events, (index) => (body.isBatch ? `body[${index}]` : 'body'));
    this.#takeInStamps(carried);
    let bytes = 0;
    for (const event of events) bytes += event.value.length;
    rates.take(tenant, { events_per_second_max: events.length, bytes_per_second_max: bytes });
    admission.enter(events.length, bytes);
    return this.#admitted(body, tenant, bytes);
  }

  /**
   * Appends an event of the plane's own, past admission, sealing and erasures under way.
   * @param confirm called once nobody can go on without this instance any more, unless the append fails
   */
  async appendOwn(
    event: PreparedEvent,
    tenant: string,
    confirm: () => Promise<void>,
  ): Promise<Appended> {
    const { strong } = this.#parts;
    const events = [event];
    const body: PreparedBody = { events, isBatch: false, carried: [], conditions: [], madeIds: [] };
    const passage = strong?.begin();
    try {
      await confirm();
      const split = strong?.split(body);
      const [place] = split
        ? await this.#appendSplit(body, tenant, split, () => 'body', passage)
        : await this.#timed(events, event.value.length, () => 'body', passage);
      if (place === undefined) throw new Error('the log lost a record');
      return place;
    } finally {
      passage?.end();
    }
  }

  /** Keeps its room until the log has answered, also when nobody waits for it any more. */
  async #admitted(sent: PreparedBody, tenant: string, bytes: number): Promise<AnswerText> {
    const { admission, ready, sealer, erasures, strong, stall } = this.#parts;
    let body = sent;
    let passage: Passage | undefined;
    let begun: ErasurePassage | undefined;
    const leave = () => {
      passage?.end();
      begun?.end();
      admission.leave(sent.events.length, bytes);
    };
    let split: Split | undefined;
    try {
      await ready;
      begun = erasures?.begin(tenant, sent.events);
      if (sealer?.isInUse) body = await sealer.seal(sent, tenant);
      // Up to the split nothing may come between: a change of zones waits for those that began.
      passage = strong?.begin();
      begun?.check();
      if (strong === undefined) refuseConditions(body);
      else split = strong.split(body);
    } catch (error) {
      leave();
      throw error;
    }
    const { events, isBatch } = body;
    const fieldOf = (index: number) => (isBatch ? `body[${index}]` : 'body');
    if (split !== undefined) {
      const appended = this.#appendSplit(body, tenant, split, fieldOf, passage).finally(leave);
      return this.#answer(events, await appended);
    }
    const appending = this.#timed(events, bytes, fieldOf, passage).finally(leave);
    return this.#answer(events, await (stall ? stall.watch(appending) : appending));
  }

  /** Each strong entity by itself, then what is eventual: all is tried, and the first error told. */
  async #appendSplit(
    body: PreparedBody,
    tenant: string,
    { eventual, strong: entities }: Split,
    fieldOf: (index: number) => string,
    passage: Passage | undefined,
  ): Promise<Appended[]> {
    const { strong, metrics } = this.#parts;
    const { events } = body;
    if (strong === undefined) throw new Error('strong entities without a strong store');
    const appended = new Array<Appended>(events.length);
    const place = (indexes: readonly number[], places: readonly Appended[]) => {
      for (const [n, i] of indexes.entries()) appended[i] = places[n] as Appended;
    };
    const appends = Array.from(entities, async ([entity, indexes]) => {
      const started = performance.now();
      const check = passage?.check;
      place(indexes, await strong.append(body, tenant, entity, indexes, fieldOf, check));
      metrics.strongDuration.record((performance.now() - started) / 1000);
    });
    if (eventual.length > 0) {
      appends.push(this.#appendSome(events, eventual, fieldOf, place, passage));
    }
    const failed = (await Promise.allSettled(appends)).find(({ status }) => status === 'rejected');
    if (failed?.status !== 'rejected') return appended;
    const { reason } = failed;
    if (reason instanceof MemplaneError) metrics.failures.add(1, { 'error.type': reason.code });
    throw reason;
  }

  async #appendSome(
    events: readonly PreparedEvent[],
    indexes: readonly number[],
    fieldOf: (index: number) => string,
    place: (indexes: readonly number[], places: readonly Appended[]) => void,
    passage: Passage | undefined,
  ): Promise<void> {
    const some = indexes.map((i) => events[i] as PreparedEvent);
    const bytes = some.reduce((sum, { value }) => sum + value.length, 0);
    place(indexes, await this.#timed(some, bytes, (n) => fieldOf(indexes[n] ?? 0), passage));
  }

  /** All of a request's stamps are looked at before anything of it is appended. */
  #takeInStamps(carried: readonly CarriedHlc[]): void {
    for (const { hlc, field } of carried) {
      try {
        this.#parts.stamps.clock.receive(parseHlc(hlc));
      } catch (error) {
        if (!(error instanceof MemplaneError)) throw error;
        throw new MemplaneError(error.code, `${field}.hlc: ${error.message}`, {
          field: `${field}.hlc`,
          extra: error.extra,
        });
      }
    }
  }

  async #timed(
    events: readonly PreparedEvent[],
    bytes: number,
    fieldOf: (index: number) => string,
    passage: Passage | undefined,
  ): Promise<Appended[]> {
    const { appender, metrics, onOutcome } = this.#parts;
    const started = performance.now();
    try {
      const appended = await appender.append(events, fieldOf, passage?.check);
      onOutcome(undefined);
      metrics.appendDuration.record((performance.now() - started) / 1000);
      metrics.bytes.add(bytes);
      return appended;
    } catch (error) {
      if (error instanceof MemplaneError) {
        onOutcome(error);
        metrics.failures.add(1, { 'error.type': error.code });
      }
      throw error;
    }
  }

  #answer(events: readonly PreparedEvent[], appended: readonly Appended[]): AnswerText {
    const { log, stamps, metrics } = this.#parts;
    const { logId, epoch, partitions, lineage } = log.info;
    const offsets = new Map<number, number>();
    let duplicates = 0;
    let text = '{"accepted":[';
    for (let i = 0; i < appended.length; i++) {
      const { offset, hlc, duplicate, sequence, ...place } = appended[i] as Appended;
      const { id, entity, key } = events[i] as PreparedEvent;
      // A log that grew since has it at the same offset, in a partition that came out of that one.
      const partition = lineage === undefined ? place.partition : partitionOf(key, partitions);
      if (duplicate) duplicates++;
      if (offset > (offsets.get(partition) ?? -1)) offsets.set(partition, offset);
      text +=
        `${i === 0 ? '' : ','}{"id":${quoted(id)},"entity":"${entity}"` +
        `,"partition":${partition},"offset":${offset}` +
        `,"hlc":"${stamps.textOf(hlc)}","duplicate":${duplicate}` +
        (sequence === undefined ? '}' : `,"sequence":${sequence}}`);
    }
    if (duplicates > 0) metrics.events.add(duplicates, { outcome: 'duplicate' });
    metrics.events.add(appended.length - duplicates, { outcome: 'appended' });
    const token = encodeToken({ logId, epoch, partitions, offsets });
    return `${text}],"token":"${token}"}`;
  }
}
