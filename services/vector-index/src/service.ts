import { join } from 'node:path';
import {
  createLogger,
  createTelemetry,
  HttpServer,
  type Invoker,
  type Logger,
  type Service,
  type Telemetry,
} from '@memplane/runtime';
import { AppliedGate } from './applied-gate.ts';
import type { VectorIndexConfig } from './config.ts';
import type { Views } from './domain/ports.ts';
import { Generation, type GenerationOptions } from './drivers/generation.ts';
import { createHttpFeed } from './drivers/http-feed.ts';
import { createHttpViews } from './drivers/http-views.ts';
import { Follower } from './follower.ts';
import { indexStatusRoute } from './routes/index-status.ts';
import { searchRoute } from './routes/search.ts';

export const VERSION = '0.1.0';

const CONNECT_RETRY_MS = 50;
const MAINTENANCE_INTERVAL_MS = 20;

/** What vector-index is given by its host. */
export interface VectorIndexContext {
  /** For the materializer's feed and view checks. */
  readonly invoker: Invoker;
  readonly logger?: Logger;
  /** Milliseconds since 1970; `Date.now` by default. */
  readonly now?: () => number;
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
    version: VERSION,
    otlpEndpoint: config.otlpEndpoint,
    flushTimeoutMs: 2_000,
  });
  return new VectorIndexService(config, context, telemetry);
}

class VectorIndexService implements VectorIndex {
  readonly name = 'vector-index';
  readonly #config: VectorIndexConfig;
  readonly #logger: Logger;
  readonly #telemetry: Telemetry;
  readonly #views: Views;
  readonly #generation: Generation;
  readonly #gate: AppliedGate;
  readonly #follower: Follower;
  readonly #server: HttpServer;
  readonly #stopping = new AbortController();
  #partitions = 0;
  #connecting: Promise<void> | undefined;
  #maintenance: NodeJS.Timeout | undefined;
  #port = 0;

  constructor(config: VectorIndexConfig, context: VectorIndexContext, telemetry: Telemetry) {
    this.#config = config;
    this.#telemetry = telemetry;
    this.#logger = context.logger ?? createLogger(this.name, config.logLevel);
    this.#views = createHttpViews(context.invoker, config.viewCheckTimeoutMs);
    this.#generation = new Generation(join(config.dir, 'generation-1'), generationOptions(config));
    const generation = this.#generation;
    this.#gate = new AppliedGate(() => generation.applied, config.waiting_reads_max);
    this.#follower = new Follower({
      feed: createHttpFeed(context.invoker, config),
      generation,
      logger: this.#logger,
      feedRetryMsMax: config.feedRetryMsMax,
      onApplied: () => this.#gate.wake(),
    });
    this.#observe();
    this.#server = this.#createServer(context.now ?? Date.now);
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
    await this.#follower.stop();
    this.#generation.close();
    await this.#telemetry.stop();
  }

  /** A failure here (a full disk) costs nothing but room: the next step tries again. */
  #maintain(): void {
    try {
      this.#generation.maintain();
    } catch (error) {
      this.#logger.warn({ err: error }, 'merging the text index has failed');
    }
  }

  /** Asks the views which log it is, until they answer; then follows it. */
  async #connect(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      try {
        const cut = await this.#views.resolveCut({ waitMs: 0 }, signal);
        const known = this.#generation.logId;
        if (known === undefined) this.#generation.setLogId(cut.logId);
        else if (known !== cut.logId) {
          this.#logger.error({ logId: cut.logId, known }, 'the index is of another log: anew');
          this.#generation.startOver(cut.logId);
        }
        this.#partitions = cut.offsets.size;
        this.#follower.start(this.#partitions);
        return;
      } catch (error) {
        if (signal.aborted) return;
        this.#logger.debug({ err: error }, 'the views do not answer yet');
        await new Promise((resolve) => setTimeout(resolve, CONNECT_RETRY_MS));
      }
    }
  }

  #observe(): void {
    const { meter } = this.#telemetry;
    const applied = meter.createObservableGauge('memplane.index.offset.applied', {
      description: 'last offset applied',
    });
    applied.addCallback((result) => {
      for (const [partition, offset] of this.#generation.applied) {
        result.observe(offset, { partition });
      }
    });
  }

  #createServer(now: () => number): HttpServer {
    const { host, port, token, drainTimeoutMs } = this.#config;
    const { inflight_requests_max, connections_max } = this.#config;
    const partitions = () => this.#partitions;
    const [generation, gate, views] = [this.#generation, this.#gate, this.#views];
    return new HttpServer({
      name: this.name,
      version: VERSION,
      description: 'Recall: similar memories, by text and vector, consistent with the views.',
      host,
      port,
      token,
      drainTimeoutMs,
      inflight_requests_max,
      connections_max,
      telemetry: this.#telemetry,
      logger: this.#logger,
      routes: [
        searchRoute({ generation, gate, views, now, partitions }),
        indexStatusRoute(generation, partitions, () => this.#follower.problem),
      ],
      readiness: () => {
        const problem = this.#follower.problem;
        const ready = this.#partitions > 0 && problem === undefined;
        return { ready, partitions: this.#partitions, ...(problem ? { problem } : {}) };
      },
    });
  }
}

function generationOptions(config: VectorIndexConfig): GenerationOptions {
  return {
    dimensions: config.dimensions,
    model: undefined,
    computes: false,
    stage1_rows_min: 2_048,
    direct_rows_max: 4_096,
    fields_per_row_max: 64,
    filter_cache_bytes_max: config.filter_cache_bytes_max,
    cut_cache_entries_max: 16,
    entity_cache_entries_max: 4_096,
    text: { memtable_rows_max: 4_096, segments_per_level_max: 4, merge_terms_max: 256 },
    database_cache_bytes_max: config.database_cache_bytes_max,
  };
}
