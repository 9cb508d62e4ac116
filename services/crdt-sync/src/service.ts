import { randomBytes } from 'node:crypto';
import path from 'node:path';
import { HybridClock } from '@memplane/clock';
import { PLANE_VERSION } from '@memplane/contracts';
import {
  createLogger,
  createTelemetry,
  HttpServer,
  type Logger,
  type Service,
  type Telemetry,
  toMemplaneError,
} from '@memplane/runtime';
import type { CrdtSyncConfig } from './config.ts';
import { Alerts } from './domain/alerts.ts';
import { Command } from './domain/command.ts';
import { Engine } from './domain/engine.ts';
import { EmbeddedStore } from './drivers/embedded-store.ts';
import { createCrdtMetrics } from './metrics.ts';
import { RespServer } from './resp/server.ts';
import { crdtSyncRoutes } from './routes/index.ts';

/** What crdt-sync is given by its host. */
export interface CrdtSyncContext {
  /** Folder of the store; the service opens and closes it. */
  readonly dir: string;
  readonly logger?: Logger;
  /** Milliseconds since 1970; `Date.now` by default. */
  readonly now?: () => number;
}

export interface CrdtSync extends Service {
  /** The ports that it listens on, once started. */
  readonly port: number;
  readonly respPort: number;
}

/** @throws MemplaneError what opening the store throws */
export async function createCrdtSync(
  config: CrdtSyncConfig,
  context: CrdtSyncContext,
): Promise<CrdtSync> {
  const { op_ids_per_counter_max } = config;
  const store = await EmbeddedStore.open({
    dir: path.resolve(context.dir),
    op_ids_per_counter_max,
  });
  const telemetry = await createTelemetry({
    serviceName: 'crdt-sync',
    version: PLANE_VERSION,
    otlpEndpoint: config.otlpEndpoint,
    flushTimeoutMs: 2_000,
  });
  const now = context.now ?? Date.now;
  let floor = 0n;
  const incarnations = await store.incarnations();
  for (const { hlc } of incarnations) if (hlc > floor) floor = hlc;
  const clock = new HybridClock({ now, driftMaxMs: config.hlc_drift_max_ms, floor });
  const engine = new Engine({
    ...config,
    store,
    clock,
    incarnations,
    newIncarnation: () => randomBytes(16).toString('hex'),
    toError: toMemplaneError,
  });
  const logger = context.logger ?? createLogger('crdt-sync', config.logLevel);
  const alerts = await loadAlerts(store, config.alerts_max, now);
  return new CrdtSyncService(config, { store, telemetry, engine, logger, alerts });
}

/** Damage to the list is itself an alert, and no reason not to start. */
async function loadAlerts(
  store: EmbeddedStore,
  alerts_max: number,
  now: () => number,
): Promise<Alerts> {
  try {
    return new Alerts({ alerts_max, now, store, before: await store.loadAlerts() });
  } catch (cause) {
    const error = toMemplaneError(cause);
    if (error.code !== 'storage_damaged') throw error;
    const alerts = new Alerts({ alerts_max, now, store, before: [] });
    alerts.raise(error.code, error.message, 'alerts');
    return alerts;
  }
}

interface Parts {
  readonly store: EmbeddedStore;
  readonly telemetry: Telemetry;
  readonly engine: Engine;
  readonly logger: Logger;
  readonly alerts: Alerts;
}

class CrdtSyncService implements CrdtSync {
  readonly name = 'crdt-sync';
  readonly #parts: Parts;
  readonly #storageProbeIntervalMs: number;
  #watch: NodeJS.Timeout | undefined;
  #isProbing = false;
  #isFailureTold = false;
  readonly #server: HttpServer;
  readonly #resp: RespServer;
  #port = 0;

  constructor(config: CrdtSyncConfig, parts: Parts) {
    this.#parts = parts;
    this.#storageProbeIntervalMs = config.storageProbeIntervalMs;
    const { engine, store, telemetry, logger } = parts;
    this.#resp = new RespServer({ ...config, engine, store, logger });
    createCrdtMetrics(telemetry.meter, engine, this.#resp);
    this.#server = new HttpServer({
      ...config,
      name: this.name,
      version: PLANE_VERSION,
      description: 'Counters, sets and registers that any replica may update.',
      telemetry,
      logger,
      routes: crdtSyncRoutes({ ...parts, ...config }),
      readiness: () => ({
        ready: engine.storageFailure === undefined,
        storage: engine.storageFailure?.code ?? 'ok',
        incarnation: engine.incarnation,
        queuedCommands: engine.queued,
        failedCommits: engine.stats.failedCommits,
      }),
    });
  }

  get port(): number {
    return this.#port;
  }

  get respPort(): number {
    return this.#resp.port;
  }

  async start(): Promise<void> {
    this.#port = await this.#server.listen();
    try {
      await this.#resp.listen();
    } catch (error) {
      await this.#server.stop();
      throw error;
    }
    this.#watch = setInterval(() => this.#watchStorage(), this.#storageProbeIntervalMs);
    this.#parts.logger.info({ port: this.#port, respPort: this.respPort }, 'listening');
  }

  /** A storage that fails is told, and tried again, so that a replica nobody writes to recovers. */
  #watchStorage(): void {
    const { engine, alerts, logger } = this.#parts;
    const failure = engine.storageFailure;
    if (failure !== undefined && !this.#isProbing) {
      if (!this.#isFailureTold) alerts.raise(failure.code, failure.message, 'storage');
      this.#isFailureTold = true;
      this.#isProbing = true;
      const probe = new Command('probe', '', '', () => {
        this.#isProbing = false;
      });
      try {
        engine.submit(probe);
      } catch {
        // Too many commands wait: those are as good a trial.
        this.#isProbing = false;
      }
    }
    if (failure === undefined) this.#isFailureTold = false;
    if (failure !== undefined || !alerts.unsaved) return;
    alerts.save().catch((error: unknown) => logger.warn({ error }, 'alerts are not saved'));
  }

  /** Refuses the new, and waits until what was taken is durable and answered. */
  async drain(): Promise<void> {
    clearInterval(this.#watch);
    await Promise.all([this.#server.drain(), this.#resp.drain()]);
    await this.#parts.engine.drain();
  }

  async stop(): Promise<void> {
    clearInterval(this.#watch);
    await Promise.all([this.#server.stop(), this.#resp.stop()]);
    const { alerts, logger, store } = this.#parts;
    await alerts.save().catch((error: unknown) => logger.warn({ error }, 'alerts are not saved'));
    await store.close();
    await this.#parts.telemetry.stop();
  }
}
