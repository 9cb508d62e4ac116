import type { BlobStore } from '@memplane/blob-store';
import { hlcToMs } from '@memplane/clock';
import { type MemplaneError, PLANE_VERSION, TOPICS } from '@memplane/contracts';
import {
  type LogAdmin,
  type LogReader,
  type LogRecord,
  type PartitionAssignment,
  SoleOwner,
} from '@memplane/event-log';
import {
  admissionOf,
  auditThrough,
  createLogger,
  createTelemetry,
  HttpServer,
  type Invoker,
  type Logger,
  type Route,
  recordSpans,
  type Service,
  type Telemetry,
} from '@memplane/runtime';
import { type MaterializerConfig, peerTokenOf } from './config.ts';
import type { ViewTopic } from './domain/publishing.ts';
import type { FoldedBatch } from './drivers/applier.ts';
import { ArchiveService, restoreShard } from './drivers/archive-service.ts';
import { withStored } from './drivers/count-stored.ts';
import { CounterPublisher } from './drivers/counter-publisher.ts';
import { ErasureClearer } from './drivers/erasure-clearer.ts';
import { feedSource, ofTenant } from './drivers/feed-sources.ts';
import { type OpenFeed, openFeed as openShardFeed } from './drivers/feed-stream.ts';
import { Follower } from './drivers/follower.ts';
import { GrowthWatch } from './drivers/growth-watch.ts';
import { HistoryPruner } from './drivers/history-pruner.ts';
import { OffsetReporter } from './drivers/offset-reporter.ts';
import { OpeningLog, RecordOpener } from './drivers/opening-log.ts';
import { PositionPoller } from './drivers/position-poller.ts';
import { ReplayJobs } from './drivers/replay-jobs.ts';
import { ShardFamilies } from './drivers/shard-families.ts';
import { ShardHost } from './drivers/shard-host.ts';
import { ShardSnapshots } from './drivers/shard-snapshots.ts';
import { splitShard } from './drivers/shard-splitter.ts';
import { StorageGuard } from './drivers/storage-guard.ts';
import { TopicClearer } from './drivers/topic-clearer.ts';
import { UnwrappedKeys } from './drivers/unwrapped-keys.ts';
import { ViewPublisher } from './drivers/view-publisher.ts';
import { ViewStore } from './drivers/view-store.ts';
import { createMetrics, type Metrics } from './metrics.ts';
import type { Peers } from './peers.ts';
import { KnownPast } from './reads/known-past.ts';
import { type Heads, invokedHeads } from './reads/linearizable.ts';
import { allParts } from './reads/parts.ts';
import type { Plane } from './reads/plane.ts';
import { checkClearingRoute } from './routes/check-clearing.ts';
import { checkLivenessRoute } from './routes/check-liveness.ts';
import { getFeedRoute } from './routes/feeds.ts';
import { getAuditRoute } from './routes/get-audit.ts';
import { getDigestRoute } from './routes/get-digest.ts';
import { getEntityRoute } from './routes/get-entity.ts';
import { getEventRoute } from './routes/get-event.ts';
import { getHistoryRoute } from './routes/get-history.ts';
import { getLogRoute } from './routes/get-log.ts';
import { getShardSnapshotRoute } from './routes/get-shard-snapshot.ts';
import { getShardsRoute } from './routes/get-shards.ts';
import { getTraceRoute } from './routes/get-trace.ts';
import { getUsageRoute } from './routes/get-usage.ts';
import { peerRoutes } from './routes/peer-routes.ts';
import { queryEntitiesRoute } from './routes/query-entities.ts';
import { replayRoutes } from './routes/replays.ts';
import { resolveCutRoute } from './routes/resolve-cut.ts';
import { type Shard, WaitLimit } from './shard.ts';
import { ShardSet } from './shard-set.ts';

/** What the materializer is given by its host. The host opens and closes the log. */
export interface MaterializerContext {
  readonly logReader: LogReader;
  /**
   * Which partitions are this instance's; by default all are, for good. The service starts and
   * closes it.
   */
  readonly ownership?: PartitionAssignment;
  /** The other instances, where the partitions are shared with some. */
  readonly peers?: Peers;
  /** For giving space of the log back once its events are archived. */
  readonly logAdmin?: LogAdmin;
  /** For derived counters; without it they are kept and not sent. */
  readonly invoker?: Invoker;
  /** Where changed views are published; without it they are only in the feed. */
  readonly viewTopic?: ViewTopic;
  /** For the archive and the shards' snapshots; without it there are none. */
  readonly blobStore?: BlobStore;
  readonly logger?: Logger;
  /** Milliseconds since 1970; `Date.now` by default. */
  readonly now?: () => number;
}

export interface Materializer extends Service {
  /** The port that it listens on, once started. */
  readonly port: number;
}

/** @throws MemplaneError what opening the store throws; `token_of_another_log` */
export async function createMaterializer(
  config: MaterializerConfig,
  context: MaterializerContext,
): Promise<Materializer> {
  const { info } = context.logReader;
  const sole = new SoleOwner(info.partitions, SOLE_OWNER_EPOCH);
  const ownership = context.ownership ?? sole;
  const store = await ViewStore.open(config.dir, config.write_buffer_bytes);
  await store.loadShards(info); // refuses the views of another log
  const { blobStore, logAdmin } = context;
  const now = context.now ?? Date.now;
  const logger = context.logger ?? createLogger('materializer', config.logLevel);
  const shards = new ShardSet(context.logReader, ownership);
  const { peers, invoker } = context;
  const { keyCacheMs, keys_cached_max, keyTimeoutMs: timeoutMs } = config;
  const opener = new RecordOpener(
    new UnwrappedKeys({ invoker, keyCacheMs, keys_cached_max, timeoutMs }),
  );
  const log = new OpeningLog(context.logReader, opener);
  const known = new KnownPast(store, config);
  const plane: Plane = { log, store, shards, known, peers, settings: config, now };
  const archive =
    blobStore === undefined
      ? undefined
      : new ArchiveService(
          { plane, sealed: { log: log.stored, opener }, blobs: blobStore, admin: logAdmin, logger },
          config,
        );
  const telemetry = await createTelemetry({
    serviceName: 'materializer',
    version: PLANE_VERSION,
    otlpEndpoint: config.otlpEndpoint,
    flushTimeoutMs: 2_000,
  });
  return new MaterializerService(config, context, {
    plane,
    ownership,
    growing: ownership === sole ? sole : undefined,
    archive,
    telemetry,
    logger,
  });
}

/** One process owns every shard of the embedded log for good. */
const SOLE_OWNER_EPOCH = 1;

interface Parts {
  readonly plane: Plane;
  readonly ownership: PartitionAssignment;
  /** Who takes new partitions of the log; absent where the assignment itself brings them. */
  readonly growing: SoleOwner | undefined;
  readonly archive: ArchiveService | undefined;
  readonly telemetry: Telemetry;
  readonly logger: Logger;
}

class MaterializerService implements Materializer {
  readonly name = 'materializer';
  readonly #store: ViewStore;
  readonly #shards: ShardSet;
  readonly #ownership: PartitionAssignment;
  readonly #host: ShardHost;
  readonly #growth: GrowthWatch | undefined;
  readonly #telemetry: Telemetry;
  readonly #logger: Logger;
  readonly #metrics: Metrics;
  readonly #follower: Follower;
  readonly #counters: CounterPublisher | undefined;
  readonly #views: ViewPublisher | undefined;
  readonly #archive: ArchiveService | undefined;
  readonly #pruner: HistoryPruner;
  readonly #clearer: ErasureClearer;
  readonly #topicClearer: TopicClearer | undefined;
  readonly #replays: ReplayJobs;
  /** All shards that it was to have at its start. */
  #hasOpened = false;
  readonly #server: HttpServer;
  /** For the other instances. */
  readonly #peerServer: HttpServer | undefined;
  readonly #offsets: OffsetReporter | undefined;
  readonly #positions: PositionPoller | undefined;
  readonly #now: () => number;
  #port = 0;

  constructor(config: MaterializerConfig, context: MaterializerContext, parts: Parts) {
    const { plane, archive } = parts;
    this.#store = plane.store;
    this.#shards = plane.shards;
    this.#ownership = parts.ownership;
    this.#telemetry = parts.telemetry;
    this.#now = plane.now;
    this.#logger = parts.logger;
    this.#archive = archive;
    this.#replays = new ReplayJobs(config);
    if (archive !== undefined) observeArchive(parts.telemetry, archive);
    this.#metrics = createMetrics(parts.telemetry.meter, this.#shards);
    this.#counters = this.#createCounters(config, context.invoker);
    this.#views = this.#createViews(plane, config, context.viewTopic);
    this.#follower = this.#createFollower(config, plane);
    this.#host = this.#createHost(config, context);
    this.#growth = parts.growing && this.#createGrowth(plane, parts.growing);
    this.#pruner = new HistoryPruner(
      {
        store: plane.store,
        shards: plane.shards,
        logger: parts.logger,
        onPruned: (events) => this.#metrics.pruned.add(events),
      },
      config,
    );
    this.#clearer = createClearer(plane, archive, parts.logger, config);
    const openTopic = context.viewTopic?.open;
    this.#topicClearer = this.#createTopicClearer(plane, config, openTopic);
    const openFeed: OpenFeed = ({ retained, select, ...request }) => {
      const { topic, shard, tenant } = request;
      const all = feedSource(topic, plane, { archive: archive?.archive, retained, select });
      const source = tenant === undefined ? all : ofTenant(all, tenant);
      const start = topic === TOPICS.events ? shard.record.historyStart : 0;
      const isOwned = () => plane.shards.owns(shard);
      return openShardFeed(source, { ...request, from: request.from ?? start, isOwned }, config);
    };
    const { logRetentionMs } = config;
    const clearing = { plane, published: archive, openTopic, logRetentionMs };
    this.#server = this.#createServer(
      config,
      [
        ...routesOf(plane, config, context.invoker && invokedHeads(context.invoker)),
        getFeedRoute(plane, openFeed, config.feedWaitMs),
        ...replayRoutes(plane, this.#replays, config),
        checkClearingRoute(clearing),
      ],
      context.invoker,
    );
    if (plane.peers === undefined) return;
    this.#peerServer = this.#createPeerServer(
      config,
      peerRoutes(plane, allParts(config.owner, config, this.#replays, clearing), openFeed),
    );
    this.#positions = new PositionPoller(plane, config.positionIntervalMs);
    this.#offsets = new OffsetReporter({
      ownership: this.#ownership,
      shards: plane.shards,
      logger: this.#logger,
      intervalMs: config.offsetCommitIntervalMs,
    });
  }

  get port(): number {
    return this.#port;
  }

  /** Ready once its shards are open: reads that need what is not applied yet wait for it. */
  async start(): Promise<void> {
    await this.#peerServer?.listen();
    // Before there is anything to apply: what a read waits for is applied first.
    this.#port = await this.#server.listen();
    await this.#ownership.start(this.#host);
    await this.#host.opened();
    this.#hasOpened = true;
    this.#growth?.start();
    this.#archive?.start();
    this.#pruner.start();
    this.#clearer.start();
    this.#topicClearer?.start();
    this.#offsets?.start();
    this.#positions?.start();
    this.#logger.info({ port: this.#port }, 'listening');
  }

  async drain(): Promise<void> {
    await this.#server.drain();
  }

  async stop(): Promise<void> {
    await this.#server.stop();
    await this.#growth?.stop();
    await this.#replays.stop();
    await Promise.all([this.#clearer.stop(), this.#topicClearer?.stop()]);
    await this.#archive?.stop();
    await this.#pruner.stop();
    await this.#offsets?.stop();
    await this.#positions?.stop();
    await this.#ownership.close();
    await this.#peerServer?.stop();
    await this.#views?.stop();
    await this.#follower.stop();
    await this.#counters?.stop();
    await this.#store.close();
    await this.#telemetry.stop();
  }

  #createCounters(
    config: MaterializerConfig,
    invoker: Invoker | undefined,
  ): CounterPublisher | undefined {
    if (invoker === undefined || !config.counterPublishing) return undefined;
    return new CounterPublisher(this.#shards, {
      invoker,
      logger: this.#logger,
      calls: this.#metrics.counterCalls,
      intervalMs: config.counterPublishIntervalMs,
      timeoutMs: config.counterPublishTimeoutMs,
      retryMsMax: config.applyRetryMsMax,
    });
  }

  #createViews(
    plane: Plane,
    config: MaterializerConfig,
    topic: ViewTopic | undefined,
  ): ViewPublisher | undefined {
    if (topic === undefined) return undefined;
    const { published } = this.#metrics;
    const views = new ViewPublisher(
      { plane, topic, logger: this.#logger, views: published },
      config,
    );
    observeViews(this.#telemetry, this.#shards, views);
    return views;
  }

  #createTopicClearer(
    { log, store, shards, now }: Plane,
    config: MaterializerConfig,
    open: ViewTopic['open'],
  ): TopicClearer | undefined {
    const views = this.#views;
    if (open === undefined || views === undefined) return undefined;
    const { logId } = log.info;
    const ports = { store, shards, logId, views, open, logger: this.#logger, now };
    return new TopicClearer(ports, config);
  }

  #createGrowth({ log }: Plane, owner: SoleOwner): GrowthWatch {
    const opened = () => this.#host.opened();
    return new GrowthWatch({ log, owner, opened, logger: this.#logger });
  }

  #createHost(
    config: MaterializerConfig,
    { logReader, blobStore, peers }: MaterializerContext,
  ): ShardHost {
    const store = this.#store;
    const snapshots =
      blobStore === undefined ? undefined : new ShardSnapshots(blobStore, logReader);
    const eventsMin = config.shard_snapshot_events_min;
    const families = new ShardFamilies(logReader, async (partition) => {
      const { info } = logReader;
      await splitShard(store.rocks, info, partition);
      if (snapshots === undefined) return;
      const { applied } = await store.loadShard(info, partition);
      const offset = await restoreShard(store, snapshots, applied, { partition, eventsMin });
      if (offset === undefined) return;
      this.#logger.info({ partition, offset }, 'restored from a snapshot');
      await splitShard(store.rocks, info, partition);
    });
    return new ShardHost({
      log: logReader,
      shards: this.#shards,
      limit: new WaitLimit(config.waiting_reads_max),
      follower: {
        add: (shard) => {
          this.#follower.add(shard);
          this.#views?.add(shard);
        },
        remove: async (shard) => {
          await Promise.all([this.#follower.remove(shard), this.#views?.remove(shard)]);
        },
      },
      load: async (partition) => {
        await families.prepare(partition);
        const record = await store.loadShard(logReader.info, partition);
        return await withStored(store.rocks, partition, record);
      },
      isShared: peers !== undefined,
      onOpened: (shard) => {
        const { partition, ownerEpoch: epoch, applied } = shard;
        peers?.saw({ partition, epoch, applied });
        this.#counters?.opened(shard);
      },
      logger: this.#logger,
    });
  }

  #createFollower(config: MaterializerConfig, { log }: Plane): Follower {
    const settings = {
      ...config,
      sessionOpenTypes: new Set(listOf(config.sessionOpenTypes)),
      sessionCloseTypes: new Set(listOf(config.sessionCloseTypes)),
    };
    return new Follower(
      {
        log,
        store: this.#store,
        guard: new StorageGuard(this.#store),
        readArchive: (partition, from) => this.#readArchive(partition, from, config),
        logger: this.#logger,
        onApplied: (shard, batch, startedAt) => {
          this.#applied(batch, startedAt);
          this.#views?.notify(shard);
        },
        onDamaged: (shard, problem) => this.#damaged(shard, problem),
      },
      settings,
    );
  }

  async #readArchive(
    partition: number,
    from: number,
    config: MaterializerConfig,
  ): Promise<LogRecord[]> {
    const { apply_batch_bytes_max: maxBytes, apply_batch_records_max: maxRecords } = config;
    return (await this.#archive?.archive.read(partition, from, { maxBytes, maxRecords })) ?? [];
  }

  #applied(batch: FoldedBatch, startedAt: number): void {
    const { events, batchRecords, applyDuration, visibleAfter } = this.#metrics;
    const { applied, duplicates, rejected } = batch.counts;
    events.add(applied, { outcome: 'applied' });
    if (duplicates > 0) events.add(duplicates, { outcome: 'duplicate' });
    if (rejected > 0) {
      events.add(rejected, { outcome: 'rejected' });
      this.#logger.error(
        { alert: 'id_reused', rejected, applied: batch.shard.applied },
        'events with a reused id were kept in the history and not applied',
      );
    }
    batchRecords.record(batch.records);
    const durationMs = performance.now() - startedAt;
    applyDuration.record(durationMs / 1000);
    visibleAfter.record(Math.max(0, this.#now() - hlcToMs(batch.lastHlc)) / 1000);
    const endMs = this.#now();
    const work = { startMs: endMs - durationMs, endMs };
    recordSpans(this.#telemetry.tracer, 'apply', work, batch.traced);
    this.#counters?.notify();
  }

  #damaged(shard: Shard, problem: MemplaneError): void {
    this.#logger.fatal(
      { err: problem, alert: 'shard_damaged', partition: shard.partition, ...problem.extra },
      'a shard has ended: the next record of its log can not be read',
    );
  }

  #createServer(
    config: MaterializerConfig,
    routes: readonly Route[],
    invoker: Invoker | undefined,
  ): HttpServer {
    return new HttpServer({
      ...config,
      auditSink: invoker && auditThrough(invoker),
      admission: admissionOf(config),
      name: this.name,
      version: PLANE_VERSION,
      description: 'Views of entities, their history, time travel, provenance, feeds.',
      telemetry: this.#telemetry,
      logger: this.#logger,
      routes,
      readiness: () => ({ ...this.#readiness(), instance: config.owner }),
    });
  }

  #createPeerServer(config: MaterializerConfig, routes: readonly Route[]): HttpServer {
    return new HttpServer({
      ...config,
      name: `${this.name}-peers`,
      version: PLANE_VERSION,
      description: 'What instances of the materializer ask of each other.',
      port: config.peerPort,
      token: peerTokenOf(config),
      appToken: undefined,
      // Peers act for any tenant: what they ask names it.
      tenantsFile: undefined,
      inflight_requests_max: config.peer_requests_max,
      telemetry: this.#telemetry,
      logger: this.#logger,
      routes,
      readiness: () => this.#readiness(),
    });
  }

  /** Not ready until the first shards are open, and while something acknowledged can't become visible; reads are answered all the same. */
  #readiness(): { ready: boolean; [detail: string]: unknown } {
    const shards = [...this.#shards];
    const troubled = shards.filter((shard) => shard.state !== 'running');
    const lag = shards.reduce((sum, shard) => sum + shard.lag, 0);
    return {
      ready: this.#hasOpened && troubled.length === 0,
      lag,
      shards: shards.length,
      ...(this.#archive === undefined ? {} : { archiveLagBytes: this.#archive.lagBytes }),
      ...(troubled.length === 0
        ? {}
        : {
            troubled: troubled.map(({ partition, state, problem, applied }) => ({
              partition,
              state,
              applied,
              code: problem?.code,
              detail: problem?.message,
            })),
          }),
    };
  }
}

function createClearer(
  { store, shards, known, now }: Plane,
  archive: ArchiveService | undefined,
  logger: Logger,
  config: MaterializerConfig,
): ErasureClearer {
  const republish = async (shard: Shard, erasures: ReadonlyMap<string, number>) => {
    await archive?.withoutErased(shard, ({ key, offset }) => offset < (erasures.get(key) ?? -1));
  };
  const forget = (shard: Shard) => known?.forget(shard);
  return new ErasureClearer({ store, shards, forget, republish, logger, now }, config);
}

function observeArchive({ meter }: Telemetry, archive: ArchiveService): void {
  const description = 'Estimated bytes of events that are in the log and not archived.';
  meter
    .createObservableGauge('memplane.archive.lag', { unit: 'By', description })
    .addCallback((result) => result.observe(archive.lagBytes));
}

function observeViews({ meter }: Telemetry, shards: ShardSet, views: ViewPublisher): void {
  const description = 'Events that are applied and whose changes are not published yet.';
  meter
    .createObservableGauge('memplane.view.publish.lag', { unit: '{event}', description })
    .addCallback((result) => {
      for (const shard of shards) {
        const attributes = { 'messaging.destination.partition.id': shard.partition };
        result.observe(views.lagOf(shard), attributes);
      }
    });
}

function routesOf(plane: Plane, config: MaterializerConfig, heads: Heads | undefined): Route[] {
  return [
    getEntityRoute(plane, heads),
    getHistoryRoute(plane),
    getEventRoute(plane),
    getTraceRoute(plane),
    queryEntitiesRoute(plane),
    checkLivenessRoute(plane),
    resolveCutRoute(plane),
    getLogRoute(plane.log),
    getShardsRoute(plane, config.owner),
    getShardSnapshotRoute(plane),
    getDigestRoute(plane),
    getUsageRoute(plane),
    getAuditRoute(plane, config.tenantsFile === undefined ? 'off' : config.audit),
  ];
}

function listOf(text: string): string[] {
  return text
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '');
}
