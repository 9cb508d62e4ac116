import { type MemplaneError, PLANE_VERSION, TOPICS } from '@memplane/contracts';
import {
  admissionOf,
  auditThrough,
  createLogger,
  createTelemetry,
  HttpServer,
  type Invoker,
  type Logger,
  pause,
  type Route,
  recordSpans,
  type Service,
  SpanKind,
  type Telemetry,
  type TracedEvent,
} from '@memplane/runtime';
import { subscriptionRoute } from '@memplane/runtime/dapr';
import { AppliedGate, type IndexState } from './applied-gate.ts';
import type { VectorIndexConfig } from './config.ts';
import { deliveryHandler } from './deliveries.ts';
import type { Embedder, FeedLine, LogShape, Views } from './domain/ports.ts';
import {
  computedDirOf,
  hasComputedVectors,
  StoredComputedVectors,
} from './drivers/computed-vectors.ts';
import type { Generation, GenerationOptions } from './drivers/generation.ts';
import { createHttpFeed } from './drivers/http-feed.ts';
import { createHttpViews } from './drivers/http-views.ts';
import { modelName } from './drivers/onnx/folder.ts';
import { OnnxEmbedder } from './drivers/onnx/onnx-embedder.ts';
import { createOpenAiEmbedder } from './drivers/openai-embedder.ts';
import type { VectorsElsewhereFactory } from './drivers/vectors-elsewhere.ts';
import { Generations } from './generations.ts';
import { Pipeline, type PipelineParts } from './pipeline.ts';
import { QueryVectors } from './query-vectors.ts';
import { checkClearingRoute } from './routes/check-clearing.ts';
import { exportVectorsRoute } from './routes/export-vectors.ts';
import { indexStatusRoute } from './routes/index-status.ts';
import { searchRoute } from './routes/search.ts';
import { StoringSpans } from './storing-spans.ts';

const CONNECT_RETRY_MS = 50;
const MAINTENANCE_INTERVAL_MS = 20;
/** While searches wait for what is applied, the rest waits for them, but not for ever. */
const MAINTENANCE_POSTPONED_MS_MAX = 2_000;
const EMBED_RETRY_MS = 200;
/** Of all rows: building anew costs as much as what stays. */
const ENDED_PART_MIN = 0.25;
const GROWN = 'the log has grown, and so has the index';
const REBUILT = 'the index does not fit together: it is built anew from the log';

/** What vector-index is given by its host. */
export interface VectorIndexContext {
  /** For the materializer's feed and view checks. */
  readonly invoker: Invoker;
  readonly logger?: Logger;
  /** Milliseconds since 1970; `Date.now` by default. */
  readonly now?: () => number;
  /** Proof of the own sidecar, where one delivers the events of the log. */
  readonly appToken?: string | undefined;
  /** Where vectors are kept, when not here. */
  readonly vectors?: VectorsElsewhereFactory | undefined;
}

export interface VectorIndex extends Service {
  /** The port that it listens on, once started. */
  readonly port: number;
}

export async function createVectorIndex(
  config: VectorIndexConfig,
  context: VectorIndexContext,
): Promise<VectorIndex> {
  const telemetry = await createTelemetry({
    serviceName: 'vector-index',
    version: PLANE_VERSION,
    otlpEndpoint: config.otlpEndpoint,
    flushTimeoutMs: 2_000,
  });
  const embedder = await createEmbedder(config);
  return new VectorIndexService(config, context, telemetry, embedder);
}

class VectorIndexService implements VectorIndex {
  readonly name = 'vector-index';
  readonly #config: VectorIndexConfig;
  readonly #logger: Logger;
  readonly #telemetry: Telemetry;
  readonly #views: Views;
  readonly #generations: Generations;
  readonly #computed: StoredComputedVectors | undefined;
  readonly #embedding: PipelineParts['embedding'];
  readonly #parts: PipelineParts;
  readonly #queryVectors: QueryVectors | undefined;
  /** Where spans are sent, and vectors are kept elsewhere. */
  readonly #storing: StoringSpans | undefined;
  readonly #pipelines = new Map<Generation, Pipeline>();
  readonly #gate: AppliedGate;
  readonly #server: HttpServer;
  readonly #stopping = new AbortController();
  /** Undefined until the views have told it. */
  #log: LogShape | undefined;
  #isLookDue = false;
  #looking: Promise<void> | undefined;
  #isGrowing = false;
  #rebuilds = 0;
  #historyCheckedAt = performance.now();
  /** Those that were looked at last. */
  #historyStarts = '';
  #rebuilding: Promise<void> | undefined;
  #connecting: Promise<void> | undefined;
  #maintenance: NodeJS.Timeout | undefined;
  #maintainedAtMs = performance.now();
  #port = 0;

  constructor(
    config: VectorIndexConfig,
    context: VectorIndexContext,
    telemetry: Telemetry,
    embedder: Embedder | undefined,
  ) {
    this.#config = config;
    this.#telemetry = telemetry;
    this.#logger = context.logger ?? createLogger(this.name, config.logLevel);
    this.#views = createHttpViews(context.invoker, config.viewCheckTimeoutMs);
    const computedDir = config.computedDir ?? computedDirOf(config.dir);
    // Those of a model that is not set any more are kept, and backed up, all the same.
    this.#computed =
      embedder || hasComputedVectors(computedDir)
        ? new StoredComputedVectors(computedDir)
        : undefined;
    this.#embedding = embedder && this.#computed && { embedder, computed: this.#computed };
    this.#queryVectors = embedder && new QueryVectors(embedder, config.query_vectors_max);
    this.#generations = new Generations(
      config.dir,
      {
        ...generationOptions(config, embedder?.model),
        vectors: context.vectors,
        onErased: (texts) => this.#computed?.remove(texts),
        onDamaged: (err, folder) => this.#logger.error({ err, folder }, REBUILT),
      },
      config.indexRetireMs,
    );
    this.#storing =
      config.otlpEndpoint && context.vectors ? new StoringSpans(telemetry.tracer) : undefined;
    const { waiting_reads_max, feedNudgeMs } = config;
    const nudging = context.appToken
      ? { afterMs: feedNudgeMs, nudge: (partition: number) => this.#nudge(partition) }
      : undefined;
    this.#gate = new AppliedGate(this.#createIndexState(), waiting_reads_max, nudging);
    this.#parts = {
      feed: createHttpFeed(context.invoker, config),
      logger: this.#logger,
      config,
      embedding: this.#embedding,
      onApplied: (lines, startMs) => {
        this.#gate.wake();
        this.#trace(lines, startMs);
      },
      onComputed: () => this.#gate.wake(),
      onMayHaveGrown: () => this.#lookForGrowth(),
    };
    for (const { index } of this.#generations.all) {
      this.#pipelines.set(index, new Pipeline(index, this.#parts));
    }
    this.#observe();
    this.#server = this.#createServer(neverBack(context.now ?? Date.now), context);
  }

  get port(): number {
    return this.#port;
  }

  async start(): Promise<void> {
    this.#port = await this.#server.listen();
    this.#connecting = this.#connect();
    this.#maintenance = setInterval(() => this.#maintain(), MAINTENANCE_INTERVAL_MS);
    this.#maintenance.unref();
    this.#logger.info({ port: this.#port }, 'listening');
  }

  async drain(): Promise<void> {
    await this.#server.drain();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    clearInterval(this.#maintenance);
    await this.#server.stop();
    await this.#connecting;
    await Promise.all([this.#rebuilding, this.#looking]);
    await Promise.all([...this.#pipelines.values()].map((pipeline) => pipeline.stop()));
    await this.#generations.close();
    await this.#embedding?.embedder.close();
    this.#computed?.close();
    await this.#telemetry.stop();
  }

  /** A failure here (a full disk) costs nothing but room: the next step tries again. */
  #maintain(): void {
    if (this.#rebuilding || this.#isGrowing) return;
    const nowMs = performance.now();
    const isLate = nowMs - this.#maintainedAtMs > MAINTENANCE_POSTPONED_MS_MAX;
    if (this.#gate.isWaitedFor && !isLate) return;
    this.#maintainedAtMs = nowMs;
    const { elsewhere } = this.#generations.live;
    if (elsewhere) this.#storing?.look((partition) => elsewhere.settledOf(partition), Date.now());
    try {
      for (const { index } of this.#generations.all) {
        if (!index.damage) index.maintain();
        else if (this.#log && this.#rebuilds < this.#config.index_rebuilds_max) {
          this.#rebuilding = this.#rebuild(index, this.#log, index.damage);
          return;
        }
      }
      if (this.#generations.live.hasErased)
        this.#buildAnew('the index is built anew without what was erased');
      void this.#checkHistory();
      const old = this.#generations.live;
      if (!this.#generations.switchIfReady()) return;
      this.#logger.info(
        { model: this.#generations.live.model },
        'the new index answers from now on',
      );
      void this.#pipelines.get(old)?.stop();
      this.#pipelines.delete(old);
      this.#gate.wake();
    } catch (error) {
      this.#logger.warn({ err: error }, 'keeping the index in order has failed');
    }
  }

  /** Builds the index anew when too much of it is of before the history of the views. */
  async #checkHistory(): Promise<void> {
    const { historyCheckMs, index_ended_rows_max } = this.#config;
    const now = performance.now();
    if (!this.#log || now - this.#historyCheckedAt < historyCheckMs) return;
    this.#historyCheckedAt = now;
    if (this.#generations.building) return;
    try {
      const { signal } = this.#stopping;
      const { historyStarts } = await this.#views.resolveCut({ waitMs: 0 }, signal);
      const starts = JSON.stringify([...historyStarts]);
      if (signal.aborted || this.#rebuilding || starts === this.#historyStarts) return;
      this.#historyStarts = starts;
      const { rows, ended } = this.#generations.live.rowsEndedBefore(historyStarts);
      if (ended < index_ended_rows_max || ended < rows * ENDED_PART_MIN) return;
      this.#buildAnew('the index is built anew without what has ended', { rows, ended });
    } catch (error) {
      this.#logger.debug({ err: error }, 'the views do not tell their history');
    }
  }

  #buildAnew(why: string, counts: object = {}): void {
    const log = this.#log;
    const index = log && this.#generations.beginAnew();
    if (!index) return;
    this.#logger.info(counts, why);
    index.follow(log);
    const pipeline = new Pipeline(index, this.#parts);
    this.#pipelines.set(index, pipeline);
    pipeline.start(log);
  }

  /** Damage that shows while it runs: searches answer 503 until the index begins anew. */
  async #rebuild(index: Generation, log: LogShape, err: MemplaneError): Promise<void> {
    this.#rebuilds++;
    this.#logger.error({ err, folder: index.folder }, REBUILT);
    try {
      await this.#pipelines.get(index)?.stop();
      if (this.#stopping.signal.aborted) return;
      index.startOver(log);
    } catch (error) {
      this.#logger.error({ err: error, folder: index.folder }, 'building it anew has failed');
    } finally {
      const pipeline = new Pipeline(index, this.#parts);
      this.#pipelines.set(index, pipeline);
      if (!this.#stopping.signal.aborted) pipeline.start(log);
      this.#rebuilding = undefined;
    }
  }

  /** Asks the views which log it is, until they answer; then follows it. */
  async #connect(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      try {
        const log = await this.#views.log(signal);
        const { logId } = log;
        for (const { index } of this.#generations.all) {
          if (index.logId === undefined || index.logId === logId) index.follow(log);
          else {
            const known = index.logId;
            this.#logger.error({ logId, known }, 'the index is of another log: anew');
            index.startOver(log);
          }
        }
        this.#log = log;
        for (const pipeline of this.#pipelines.values()) pipeline.start(log);
        return;
      } catch (error) {
        if (signal.aborted) return;
        this.#logger.debug({ err: error }, 'the views do not answer yet');
        await pause(CONNECT_RETRY_MS, signal);
      }
    }
  }

  /** There is a reason to ask whether the log has grown. */
  #lookForGrowth(): void {
    this.#isLookDue = true;
    this.#looking ??= this.#look().finally(() => {
      this.#looking = undefined;
    });
  }

  async #look(): Promise<void> {
    const { signal } = this.#stopping;
    while (this.#isLookDue && !signal.aborted) {
      this.#isLookDue = false;
      try {
        const log = await this.#views.log(signal);
        const known = this.#log;
        if (log.logId !== known?.logId || log.epoch <= known.epoch) continue;
        this.#isGrowing = true;
        await this.#grow(log);
        this.#logger.info({ epoch: log.epoch, partitions: log.partitions }, GROWN);
      } catch (error) {
        // Whoever had a reason comes again; what was begun is not left.
        this.#isLookDue = this.#isGrowing;
        this.#logger.debug({ err: error }, 'the log may have grown');
        await pause(CONNECT_RETRY_MS, signal);
      }
    }
    this.#isGrowing = false;
  }

  /** Nothing is applied meanwhile: what is read in the epoch before must not follow on this. */
  async #grow(log: LogShape): Promise<void> {
    await this.#rebuilding;
    await Promise.all([...this.#pipelines.values()].map((pipeline) => pipeline.stop()));
    for (const { index } of this.#generations.all) index.grow(log);
    this.#log = log;
    this.#pipelines.clear();
    for (const { index } of this.#generations.all) {
      const pipeline = new Pipeline(index, this.#parts);
      this.#pipelines.set(index, pipeline);
      if (!this.#stopping.signal.aborted) pipeline.start(log);
    }
    this.#gate.wake();
  }

  #createIndexState(): IndexState {
    const applied = () => this.#generations.live.applied;
    const log = () => this.#log;
    return {
      get applied() {
        return applied();
      },
      get log() {
        return log();
      },
    };
  }

  #trace(lines: readonly FeedLine[], startMs: number): void {
    const work = { startMs, endMs: Date.now(), kind: SpanKind.CONSUMER };
    recordSpans(this.#telemetry.tracer, 'index', work, tracedEvents(lines));
    this.#storing?.indexed(lines, startMs);
  }

  get #problem(): string | undefined {
    return this.#pipelines.get(this.#generations.live)?.problem;
  }

  get #embeddingProblem(): string | undefined {
    for (const { embeddingProblem } of this.#pipelines.values()) {
      if (embeddingProblem !== undefined) return embeddingProblem;
    }
    return undefined;
  }

  #observe(): void {
    const { meter } = this.#telemetry;
    const applied = meter.createObservableGauge('memplane.index.offset.applied', {
      description: 'last offset applied',
    });
    applied.addCallback((result) => {
      for (const [partition, offset] of this.#generations.live.applied) {
        result.observe(offset, { partition });
      }
    });
    const unsettled = meter.createObservableGauge('memplane.index.vectors.unsettled', {
      description: 'vectors that are not stored elsewhere for certain yet',
    });
    unsettled.addCallback((result) => {
      const { elsewhere } = this.#generations.live;
      if (elsewhere) result.observe(elsewhere.unsettled);
    });
  }

  /** By partition; −1 where nothing is applied yet. */
  #appliedOffsets(): number[] {
    const { applied } = this.#generations.live;
    return Array.from({ length: this.#log?.partitions ?? 0 }, (_, p) => applied.get(p) ?? -1);
  }

  #nudge(partition: number): void {
    for (const pipeline of this.#pipelines.values()) pipeline.nudge(partition);
  }

  #subscription(): Route {
    return subscriptionRoute({
      path: `/subscriptions/${TOPICS.events}`,
      topic: TOPICS.events,
      isRaw: true,
      handle: deliveryHandler({
        gate: this.#gate,
        logger: this.#logger,
        deliveryWaitMs: this.#config.deliveryWaitMs,
        claim: (partition) => {
          for (const { index } of this.#generations.all) index.elsewhere?.claim(partition);
        },
      }),
    });
  }

  #createServer(now: () => number, { appToken, invoker }: VectorIndexContext): HttpServer {
    const log = () => this.#log;
    const [gate, views, queryVectors] = [this.#gate, this.#views, this.#queryVectors];
    const generations = this.#generations;
    return new HttpServer({
      ...this.#config,
      auditSink: auditThrough(invoker),
      admission: admissionOf(this.#config),
      name: this.name,
      version: PLANE_VERSION,
      description: 'Recall: similar memories, by text and vector, consistent with the views.',
      telemetry: this.#telemetry,
      logger: this.#logger,
      routes: [
        searchRoute({
          get generation() {
            return generations.live;
          },
          gate,
          views,
          now,
          get log() {
            return log();
          },
          queryVectors,
        }),
        indexStatusRoute(
          generations,
          () => log()?.partitions ?? 0,
          () => this.#problem ?? this.#embeddingProblem,
        ),
        exportVectorsRoute(this.#computed),
        checkClearingRoute(generations),
        ...(appToken === undefined ? [] : [this.#subscription()]),
      ],
      appToken,
      readiness: () => {
        const problem = this.#problem;
        const ready = this.#log !== undefined && problem === undefined;
        const { elsewhere } = this.#generations.live;
        const vectors = elsewhere && {
          unsettled: elsewhere.unsettled,
          ...(elsewhere.problem ? { problem: elsewhere.problem.message } : {}),
        };
        return {
          ready,
          partitions: this.#log?.partitions ?? 0,
          appliedOffsets: this.#appliedOffsets(),
          ...(problem ? { problem } : {}),
          ...(vectors ? { vectors } : {}),
        };
      },
    });
  }
}

function* tracedEvents(lines: readonly FeedLine[]): Generator<TracedEvent> {
  for (const { event, offset } of lines) {
    if (event?.traceparent === undefined) continue;
    yield { traceparent: event.traceparent, entity: event.subject, offset };
  }
}

/** What expired at one search stays expired at the next, whatever the clock does. */
function neverBack(now: () => number): () => number {
  let latest = 0;
  return () => {
    latest = Math.max(latest, now());
    return latest;
  };
}

/** @throws MemplaneError `storage_unavailable` for a folder without a model */
async function createEmbedder(config: VectorIndexConfig): Promise<Embedder | undefined> {
  const { embedderUrl, embedderOnnxDir: folder, embedderModel, embedTimeoutMs } = config;
  if (folder) {
    const model = embedderModel ?? (await modelName(folder));
    const { embed_tokens_max: tokens_max } = config;
    return new OnnxEmbedder({ folder, model, tokens_max, timeoutMs: embedTimeoutMs });
  }
  if (!embedderUrl || !embedderModel) return undefined;
  return createOpenAiEmbedder({
    url: embedderUrl,
    model: embedderModel,
    key: config.embedderKey,
    timeoutMs: embedTimeoutMs,
    attempts_max: config.embed_attempts_max,
    retryMs: EMBED_RETRY_MS,
  });
}

/** @param model whose vectors are taken and computed; undefined: all of the right dimensions */
function generationOptions(
  config: VectorIndexConfig,
  model: string | undefined,
): GenerationOptions {
  return {
    dimensions: config.dimensions,
    model,
    computes: model !== undefined,
    stage1_rows_min: 768,
    direct_rows_max: 4_096,
    fields_per_row_max: 64,
    filter_cache_bytes_max: config.filter_cache_bytes_max,
    cut_cache_entries_max: 16,
    entity_cache_entries_max: 65_536,
    text: { memtable_rows_max: 4_096, segments_per_level_max: 4, merge_terms_max: 256 },
    database_cache_bytes_max: config.database_cache_bytes_max,
    commitIntervalMs: config.commitIntervalMs,
  };
}
