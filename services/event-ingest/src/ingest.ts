import { parseHlc } from '@memplane/clock';
import { encodeToken, MemplaneError } from '@memplane/contracts';
import type { LogInfo } from '@memplane/event-log';
import type { Appended, Appender } from './appender.ts';
import type { ArchiveGauge } from './archive-gauge.ts';
import type { Admission } from './domain/admission.ts';
import { type PreparedEvent, quoted } from './domain/prepare.ts';
import type { CarriedHlc, PreparedBody } from './domain/prepare-body.ts';
import type { Stamps } from './domain/stamps.ts';
import type { IngestMetrics } from './metrics.ts';
import type { StallWatch } from './stall-watch.ts';

export interface IngestParts {
  readonly info: LogInfo;
  readonly appender: Appender;
  readonly admission: Admission;
  readonly stamps: Stamps;
  readonly metrics: IngestMetrics;
  readonly archive: ArchiveGauge | undefined;
  /** Without it, appends wait for the log alone. */
  readonly stall: StallWatch | undefined;
  /** Resolves when the record of recent ids has been read. */
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
   * @throws MemplaneError `archive_behind`, `hlc_too_far_ahead`, `overloaded`, `id_reused`, or what
   * the log throws; nothing is acknowledged then
   */
  async append({ events, isBatch, carried }: PreparedBody): Promise<AnswerText> {
    const { admission, archive, stall } = this.#parts;
    archive?.check();
    stall?.check();
    this.#takeInStamps(carried);
    let bytes = 0;
    for (const event of events) bytes += event.value.length;
    admission.enter(events.length, bytes);
    const appending = this.#admitted(events, bytes, isBatch);
    return stall ? stall.watch(appending) : appending;
  }

  /** Keeps its room until the log has answered, also when nobody waits for it any more. */
  async #admitted(
    events: readonly PreparedEvent[],
    bytes: number,
    isBatch: boolean,
  ): Promise<AnswerText> {
    const { admission, ready } = this.#parts;
    try {
      await ready;
      const fieldOf = (index: number) => (isBatch ? `body[${index}]` : 'body');
      return this.#answer(events, await this.#timed(events, bytes, fieldOf));
    } finally {
      admission.leave(events.length, bytes);
    }
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
  ): Promise<Appended[]> {
    const { appender, metrics, onOutcome } = this.#parts;
    const started = performance.now();
    try {
      const appended = await appender.append(events, fieldOf);
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
    const { info, stamps, metrics } = this.#parts;
    const offsets = new Map<number, number>();
    let duplicates = 0;
    let text = '{"accepted":[';
    for (let i = 0; i < appended.length; i++) {
      const { partition, offset, hlc, duplicate } = appended[i] as Appended;
      const { id, entity } = events[i] as PreparedEvent;
      if (duplicate) duplicates++;
      if (offset > (offsets.get(partition) ?? -1)) offsets.set(partition, offset);
      text +=
        `${i === 0 ? '' : ','}{"id":${quoted(id)},"entity":"${entity}"` +
        `,"partition":${partition},"offset":${offset}` +
        `,"hlc":"${stamps.textOf(hlc)}","duplicate":${duplicate}}`;
    }
    if (duplicates > 0) metrics.events.add(duplicates, { outcome: 'duplicate' });
    metrics.events.add(appended.length - duplicates, { outcome: 'appended' });
    const token = encodeToken({ logId: info.logId, epoch: info.epoch, offsets });
    return `${text}],"token":"${token}"}`;
  }
}
