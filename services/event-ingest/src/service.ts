import { HybridClock } from '@memplane/clock';
import { MemplaneError, PLANE_VERSION } from '@memplane/contracts';
import type { LogGrowth, LogWriter } from '@memplane/event-log';
import {
  admissionOf,
  createLogger,
  createTelemetry,
  HttpServer,
  type Invoker,
  type Logger,
  type Route,
  type Service,
  type Telemetry,
} from '@memplane/runtime';
import { v7 as uuidv7 } from 'uuid';
import { Appender } from './appender.ts';
import { ArchiveGauge } from './archive-gauge.ts';
import { AuditLog } from './audit-log.ts';
import type { IngestConfig } from './config.ts';
import { Admission } from './domain/admission.ts';
import type { DeadLetterLog } from './domain/dead-letter.ts';
import type { DuplicateRecord } from './domain/duplicate-record.ts';
import { StoredLimits } from './domain/quotas/stored-limits.ts';
import { TenantRates } from './domain/quotas/tenant-rates.ts';
import { Stamps } from './domain/stamps.ts';
import { EmbeddedDuplicates } from './drivers/embedded-duplicates.ts';
import { ErasureGate } from './erasures/erasure-gate.ts';
import { createErasureParts, type ErasureParts } from './erasures/erasure-parts.ts';
import { FollowerLags } from './follower-lags.ts';
import { Inbox } from './inbox/inbox.ts';
import { createInboxMetrics } from './inbox/inbox-metrics.ts';
import type { RedriveRecord } from './inbox/redrive-record.ts';
import { inboxRoutes } from './inbox/routes.ts';
import { Ingest } from './ingest.ts';
import { createIngestMetrics } from './metrics.ts';
import { PrepareThread } from './prepare-thread/prepare-thread.ts';
import { appendAuditRoute } from './routes/append-audit.ts';
import { appendEventsRoute } from './routes/append-events.ts';
import { getQuotasRoute } from './routes/get-quotas.ts';
import { growPartitionsRoute } from './routes/grow-partitions.ts';
import { createSealing, type Sealing } from './sealing/sealing.ts';
import { StallWatch } from './stall-watch.ts';
import { StorageState } from './storage-state.ts';
import { type StrongContext, StrongParts } from './strong/strong-parts.ts';
import { TenantUsages } from './tenant-usages.ts';

export type SharedDuplicates = DuplicateRecord & { close(): Promise<void> };
/** Told of identities that a shared record could not find or keep. */
export type OnUnknownIds = (operation: 'find' | 'remember', ids: number, cause?: unknown) => void;

/** What event-ingest is given by its host. The host opens and closes the log. */
export interface IngestContext {
  readonly logWriter: LogWriter;
  /** Absent: the partitions of the log are not this plane's to double. */
  readonly logGrowth?: LogGrowth;
  /** A record of recent ids that instances share; without it there is one in memory. */
  readonly createDuplicates?: (onUnknown: OnUnknownIds) => SharedDuplicates;
  /** How long the log may acknowledge nothing; without it, appends wait for it all the same. */
  readonly stallMs?: number;
  /** Takes messages of `agent-inbox`. */
  readonly inbox?: {
    readonly deadLetters: DeadLetterLog;
    readonly redriven: RedriveRecord;
  };
  /** For `archive_behind`, for the lag of views and index, and for strong entities; without it appends never wait for the archive. */
  readonly invoker?: Invoker;
  /** For strong entities and leases, with the invoker; closed by the service. */
  readonly strong?: StrongContext;
  /** Where instances share their stores, for erasures: see `PlainStoresOptions`. */
  readonly viewsCompactionLagMs?: () => Promise<number | undefined>;
  readonly logger?: Logger;
  /** Milliseconds since 1970; `Date.now` by default. */
  readonly now?: () => number;
  readonly newId?: () => string;
}

export interface EventIngest extends Service {
  /** The port that it listens on, once started. */
  readonly port: number;
}

export async function createEventIngest(
  config: IngestConfig,
  context: IngestContext,
): Promise<EventIngest> {
  const telemetry = await createTelemetry({
    serviceName: 'event-ingest',
    version: PLANE_VERSION,
    otlpEndpoint: config.otlpEndpoint,
    flushTimeoutMs: 2_000,
  });
  return new EventIngestService(config, context, telemetry);
}

class EventIngestService implements EventIngest {
  readonly name = 'event-ingest';
  readonly #config: IngestConfig;
  readonly #log: LogWriter;
  readonly #logger: Logger;
  readonly #telemetry: Telemetry;
  readonly #duplicates: DuplicateRecord;
  /** Fills the record at the start. */
  readonly #load: () => Promise<void>;
  readonly #shared: SharedDuplicates | undefined;
  readonly #inbox: IngestContext['inbox'];
  readonly #admission: Admission;
  readonly #rates: TenantRates;
  readonly #stored: StoredLimits;
  readonly #usages: TenantUsages | undefined;
  readonly #stamps: Stamps;
  readonly #archive: ArchiveGauge | undefined;
  readonly #followers: FollowerLags | undefined;
  readonly #thread: PrepareThread | undefined;
  readonly #storage: StorageState;
  readonly #stall: StallWatch | undefined;
  readonly #appender: Appender;
  readonly #strong: StrongParts | undefined;
  readonly #sealing: Sealing | undefined;
  readonly #ingest: Ingest;
  readonly #erasures: ErasureParts | undefined;
  readonly #loaded = Promise.withResolvers<void>();
  readonly #server: HttpServer;
  #isLoaded = false;
  #port = 0;

  constructor(config: IngestConfig, context: IngestContext, telemetry: Telemetry) {
    const now = context.now ?? Date.now;
    this.#config = config;
    this.#log = context.logWriter;
    this.#telemetry = telemetry;
    this.#logger = context.logger ?? createLogger(this.name, config.logLevel);
    this.#inbox = context.inbox;
    this.#shared = context.createDuplicates?.(this.#countUnknown());
    const embedded = new EmbeddedDuplicates(config.recent_ids_max);
    this.#duplicates = this.#shared ?? embedded;
    this.#load = this.#shared
      ? async () => {}
      : () => embedded.load(this.#log, config.recent_ids_max);
    this.#admission = new Admission(config);
    this.#rates = new TenantRates(
      (tenant) => this.#server.access.quotasOf(tenant),
      () => performance.now(),
    );
    this.#stored = new StoredLimits((tenant) => this.#server.access.quotasOf(tenant));
    this.#storage = new StorageState(config.storageRetryMs);
    this.#stall = this.#createStallWatch(context.stallMs);
    const driftMaxMs = config.clockDriftMs;
    const floor = context.logWriter.highestHlc;
    this.#stamps = new Stamps(new HybridClock({ now, driftMaxMs, floor }));
    const { restamps_max } = config;
    this.#appender = new Appender(this.#log, this.#duplicates, this.#stamps, restamps_max);
    const gate = new ErasureGate();
    this.#strong = this.#createStrong(context, gate, now);
    this.#sealing =
      this.#strong && createSealing(config, context.strong?.store, this.#strong.zones);
    this.#archive = this.#createArchiveGauge(context.invoker);
    this.#followers = this.#createFollowerLags(context.invoker);
    this.#usages = this.#createTenantUsages(context.invoker);
    this.#thread =
      config.thread_bytes_min > 0 ? new PrepareThread(config.inflight_bytes_max) : undefined;
    // Without an append there is nobody to tell; the rejection reaches those that wait.
    this.#loaded.promise.catch(() => {});
    const newId = context.newId ?? uuidv7;
    this.#ingest = this.#createIngest(gate);
    this.#erasures = createErasureParts({
      strong: context.strong?.store,
      keys: this.#sealing?.keys,
      entities: this.#strong?.entities,
      keeper: this.#strong?.keeper,
      invoker: context.invoker,
      viewsCompactionLagMs: context.viewsCompactionLagMs,
      gate,
      append: (event, tenant, confirm) => this.#ingest.appendOwn(event, tenant, confirm),
      config,
      logger: this.#logger,
      newId,
      now,
    });
    this.#server = this.#createServer(context.logGrowth, now, newId);
  }

  get port(): number {
    return this.#port;
  }

  /** Listens at once; appends wait until the record of recent ids has been read from the log. */
  async start(): Promise<void> {
    this.#port = await this.#server.listen();
    this.#archive?.start();
    this.#followers?.start();
    this.#usages?.start();
    const parts = Promise.all([this.#load(), this.#strong?.start()]);
    // Entities that a crash left half erased take nothing before that is seen to.
    parts
      .then(() => this.#erasures?.start())
      .then(
        () => {
          this.#isLoaded = true;
          this.#loaded.resolve();
        },
        (cause: unknown) => {
          this.#logger.error({ err: cause }, 'the recent ids could not be read from the log');
          const failed = new MemplaneError('storage_unavailable', 'The log can not be read.', {
            cause,
          });
          this.#loaded.reject(cause instanceof MemplaneError ? cause : failed);
        },
      );
    this.#logger.info({ port: this.#port }, 'listening');
  }

  /** Refuses new requests and waits until those under way are durable and answered. */
  async drain(): Promise<void> {
    await this.#server.drain();
  }

  async stop(): Promise<void> {
    this.#archive?.stop();
    this.#followers?.stop();
    this.#usages?.stop();
    await this.#server.stop();
    await this.#thread?.stop();
    await this.#erasures?.stop();
    await this.#strong?.stop();
    await this.#shared?.close();
    await this.#inbox?.deadLetters.close();
    await this.#telemetry.stop();
  }

  #createArchiveGauge(invoker: Invoker | undefined): ArchiveGauge | undefined {
    if (!invoker) return undefined;
    const { archivePollMs: pollMs, archive_lag_bytes_max } = this.#config;
    return new ArchiveGauge({ invoker, logger: this.#logger, pollMs, archive_lag_bytes_max });
  }

  #createFollowerLags(invoker: Invoker | undefined): FollowerLags | undefined {
    if (!invoker) return undefined;
    return new FollowerLags({ ...this.#config, invoker, logger: this.#logger, log: this.#log });
  }

  /** Without tenants nobody has limits. */
  #createTenantUsages(invoker: Invoker | undefined): TenantUsages | undefined {
    const { lagPollMs, tenantsFile } = this.#config;
    if (!invoker || tenantsFile === undefined) return undefined;
    return new TenantUsages({ invoker, logger: this.#logger, lagPollMs, limits: this.#stored });
  }

  #createStrong(
    { strong, invoker }: IngestContext,
    erasures: ErasureGate,
    now: () => number,
  ): StrongParts | undefined {
    if (strong === undefined || invoker === undefined) return undefined;
    return new StrongParts({
      context: strong,
      config: this.#config,
      log: this.#log,
      appender: this.#appender,
      duplicates: this.#duplicates,
      invoker,
      erasures,
      logger: this.#logger,
      meter: this.#telemetry.meter,
      now,
    });
  }

  #createStallWatch(stallMs: number | undefined): StallWatch | undefined {
    if (stallMs === undefined) return undefined;
    const onStall = () => this.#logger.warn({ stallMs }, 'the log acknowledges nothing');
    return new StallWatch({ stallMs, now: () => performance.now(), onStall });
  }

  #createIngest(erasures: ErasureGate): Ingest {
    const admission = this.#admission;
    const clock = this.#stamps.clock;
    const metrics = createIngestMetrics(this.#telemetry.meter, {
      inflightEvents: () => admission.events,
      inflightBytes: () => admission.bytes,
      recentIds: () => this.#duplicates.size,
      archiveLagBytes: () => this.#archive?.lagBytes ?? 0,
      viewLagEvents: () => this.#followers?.viewLagEvents ?? 0,
      indexLagEvents: () => this.#followers?.indexLagEvents ?? 0,
      archive_lag_bytes_max: () => this.#config.archive_lag_bytes_max,
      clockAheadMs: () => clock.aheadMs,
      quotas: () =>
        [this.#rates, this.#stored].flatMap((some) =>
          some.tenants.flatMap((tenant) =>
            some.stateOf(tenant).map((state) => ({ tenant, ...state })),
          ),
        ),
    });
    return new Ingest({
      log: this.#log,
      appender: this.#appender,
      strong: this.#strong?.appends,
      sealer: this.#sealing?.sealer,
      erasures,
      admission,
      rates: this.#rates,
      stored: this.#stored,
      stamps: this.#stamps,
      metrics,
      archive: this.#archive,
      followers: this.#followers,
      stall: this.#stall,
      ready: this.#loaded.promise,
      onOutcome: (error) => this.#storage.record(error),
    });
  }

  #createServer(growth: LogGrowth | undefined, now: () => number, newId: () => string): HttpServer {
    const ingest = this.#ingest;
    const { embeddingDimensions: dimensions, thread_bytes_min } = this.#config;
    const thread = this.#thread;
    const audit = new AuditLog(ingest, now);
    return new HttpServer({
      ...this.#config,
      admission: admissionOf(this.#config),
      name: this.name,
      version: PLANE_VERSION,
      description: 'The one writer of the log: validation, identity, stamps, idempotency.',
      telemetry: this.#telemetry,
      logger: this.#logger,
      auditSink: (records) => audit.append(records),
      routes: [
        appendAuditRoute(audit),
        getQuotasRoute(this.#rates, this.#stored),
        growPartitionsRoute(this.#log, growth),
        appendEventsRoute({ ingest, dimensions, now, newId, thread, thread_bytes_min }),
        ...(this.#strong?.routes ?? []),
        ...(this.#sealing?.routes ?? []),
        ...(this.#erasures?.routes ?? []),
        ...this.#inboxRoutes(ingest, now),
      ],
      readiness: () => this.#readiness(),
    });
  }

  #inboxRoutes(ingest: Ingest, now: () => number): Route[] {
    if (!this.#inbox) return [];
    const { deadLetters, redriven } = this.#inbox;
    const inbox = new Inbox({
      ingest,
      deadLetters,
      dimensions: this.#config.embeddingDimensions,
      now,
      metrics: createInboxMetrics(this.#telemetry.meter),
      logger: this.#logger,
    });
    return inboxRoutes({ ...this.#config, inbox, deadLetters, redriven });
  }

  #countUnknown(): OnUnknownIds {
    const unknown = this.#telemetry.meter.createCounter('memplane.ingest.recent_ids.unknown', {
      unit: '{id}',
    });
    return (operation, ids, cause) => {
      unknown.add(ids, { operation });
      if (cause === undefined) return;
      this.#logger.warn({ err: cause, operation, ids }, 'the record of recent ids does not answer');
    };
  }

  #readiness(): { ready: boolean; [detail: string]: unknown } {
    const storage = this.#storage.problem();
    const archiveBehind = this.#archive?.behind ?? false;
    const isStalled = this.#stall?.isStalled ?? false;
    const strong = this.#strong?.state ?? { ready: true };
    const isServing = this.#isLoaded && storage === undefined && !archiveBehind && !isStalled;
    return {
      ...strong,
      ready: isServing && strong.ready,
      recentIdsLoaded: this.#isLoaded,
      recentIds: this.#duplicates.size,
      inflightEvents: this.#admission.events,
      inflightBytes: this.#admission.bytes,
      clockAheadMs: this.#stamps.clock.aheadMs,
      archiveBehind,
      viewLagEvents: this.#followers?.viewLagEvents ?? 0,
      indexLagEvents: this.#followers?.indexLagEvents ?? 0,
      refusedPart: this.#followers?.refusedPart ?? 0,
      logStalled: isStalled,
      ...(storage === undefined ? {} : { storage }),
    };
  }
}
