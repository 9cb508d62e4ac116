import { AUDIT_BATCH_RECORDS_MAX, type AuditRecord, DEFAULT_TENANT } from '@memplane/contracts';
import type { Counter, Meter } from '@opentelemetry/api';
import type { Logger } from '../logger.ts';
import { toMemplaneError } from '../problem.ts';
import { type AskedCall, type CallRecord, callRecord } from './call-record.ts';
import { coalesce } from './coalesce.ts';
import type { AuditLevel } from './settings.ts';
import { AuditSpool } from './spool.ts';

/** Appends records to the log; what rejects is tried again. */
export type AuditSink = (records: readonly AuditRecord[]) => Promise<void>;

export interface AuditTrailOptions {
  readonly service: string;
  readonly level: Exclude<AuditLevel, 'off'>;
  readonly reads_every: number;
  readonly dir: string;
  readonly spool_bytes_max: number;
  readonly sink: AuditSink;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  readonly logger: Logger;
  readonly meter: Meter;
}

/** What says that somebody may not have what was asked for. */
const REFUSALS: ReadonlySet<string> = new Set([
  ...['unauthorized', 'forbidden', 'quota_exceeded', 'stored_quota_exceeded'],
]);

const FLUSH_MS = 1_000;
const FLUSH_MS_MAX = 30_000;
/** Of one file. */
const DETAILED_RECORDS_MAX = 1_000;

/**
 * Records who asked for what, and was refused what. A record is in a file before the answer goes
 * out, so that no refusal is lost to a crash; it reaches the log within about a second, or when that
 * answers again.
 */
export class AuditTrail {
  readonly #options: AuditTrailOptions;
  readonly #spool: AuditSpool;
  readonly #recorded: Counter;
  readonly #dropped: Counter;
  #reads = 0;
  /** Records that had no room, since the last one that had. */
  #missing = 0;
  #isFailing = false;
  #timer: NodeJS.Timeout | undefined;
  #flushing: Promise<void> = Promise.resolve();

  /** @throws ConfigError where the folder can not be written */
  constructor(options: AuditTrailOptions) {
    this.#options = options;
    const { dir, spool_bytes_max, meter } = options;
    this.#spool = new AuditSpool(dir, spool_bytes_max);
    this.#recorded = meter.createCounter('memplane.audit.records', { unit: '{call}' });
    this.#dropped = meter.createCounter('memplane.audit.dropped', { unit: '{call}' });
    meter
      .createObservableGauge('memplane.audit.spool', { unit: 'By', description: 'Not in the log.' })
      .addCallback((result) => result.observe(this.#spool.bytes));
  }

  /** Whether calls are recorded that went well. */
  get isOfAll(): boolean {
    return this.#options.level === 'all';
  }

  start(): void {
    this.#schedule(FLUSH_MS);
  }

  /** Tries once more to empty the files; what stays in them is for the next start. */
  async stop(): Promise<void> {
    clearTimeout(this.#timer);
    await this.#flushing;
    await this.#flush();
    clearTimeout(this.#timer);
    this.#spool.close();
  }

  /** @param outcome `ok`, or the code of a problem; never throws */
  record(call: AskedCall, outcome: string): void {
    // What services ask of each other was asked of one of them before.
    if (call.identity?.isPlane || !this.#isWanted(call, outcome)) return;
    const { service, now } = this.#options;
    this.#write(callRecord(service, call, outcome, now()));
  }

  #isWanted({ role, isRead }: AskedCall, outcome: string): boolean {
    if (REFUSALS.has(outcome)) return true;
    const { level, reads_every } = this.#options;
    if (level !== 'all') return role === 'operator' && !isRead;
    return !isRead || this.#reads++ % reads_every === 0;
  }

  #write(record: CallRecord): void {
    try {
      if (this.#tellMissing() && this.#spool.append(record)) {
        this.#recorded.add(1, { refused: String(REFUSALS.has(record.outcome)) });
        return;
      }
    } catch (err) {
      if (this.#missing === 0) this.#options.logger.error({ err }, 'the audit can not be written');
    }
    this.#missing++;
    this.#dropped.add(1);
  }

  /** That some are missing is itself recorded. @returns whether all that are missing are told */
  #tellMissing(): boolean {
    if (this.#missing === 0) return true;
    const { service, now } = this.#options;
    const time = new Date(now()).toISOString();
    const about = { tenant: DEFAULT_TENANT, subject: 'plane', service, operation: 'audit' };
    const gap: CallRecord = { time, ...about, outcome: 'dropped', count: this.#missing };
    if (!this.#spool.append(gap)) return false;
    this.#missing = 0;
    return true;
  }

  #schedule(afterMs: number): void {
    this.#timer = setTimeout(() => {
      this.#flushing = this.#flush().then((isDone) =>
        this.#schedule(isDone ? FLUSH_MS : Math.min(afterMs * 2, FLUSH_MS_MAX)),
      );
    }, afterMs).unref();
  }

  /** @returns whether all that waited is in the log */
  async #flush(): Promise<boolean> {
    let problem: unknown;
    for (const name of this.#spool.rotate()) {
      try {
        await this.#send(name);
      } catch (error) {
        problem = error;
        // What is wrong with this file alone holds up no other.
        if (toMemplaneError(error).transient) break;
      }
    }
    const isFailing = problem !== undefined;
    if (isFailing && !this.#isFailing) {
      this.#options.logger.warn({ err: problem }, 'the audit waits for the log');
    }
    this.#isFailing = isFailing;
    if (isFailing || this.#missing === 0) return !isFailing;
    return this.#tellMissing() && (await this.#flush());
  }

  async #send(name: string): Promise<void> {
    const records = coalesce(this.#spool.read(name), name, DETAILED_RECORDS_MAX);
    for (let at = 0; at < records.length; at += AUDIT_BATCH_RECORDS_MAX) {
      await this.#options.sink(records.slice(at, at + AUDIT_BATCH_RECORDS_MAX));
    }
    this.#spool.remove(name);
  }
}
