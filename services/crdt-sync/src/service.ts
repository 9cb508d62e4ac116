import { randomUUID } from 'node:crypto';
import { PLANE_VERSION } from '@memplane/contracts';
import { systemTimers } from '@memplane/gossip';
import {
  admissionOf,
  auditThrough,
  createLogger,
  createTelemetry,
  HttpServer,
  type Invoker,
  type Logger,
  type Service,
  type Telemetry,
  toMemplaneError,
} from '@memplane/runtime';
import type { StrongStore } from '@memplane/runtime/strong';
import { createClusterMetrics } from './cluster-metrics.ts';
import { ClusterParts } from './cluster-parts.ts';
import type { CrdtSyncConfig } from './config.ts';
import { AlertPublishing, type AlertSink } from './domain/alert-publishing.ts';
import { type AlertStore, Alerts } from './domain/alerts.ts';
import { membersView } from './domain/cluster/members-view.ts';
import { Command } from './domain/command.ts';
import { Engine } from './domain/engine.ts';
import { Reconciling } from './domain/reconciling.ts';
import { ReplicaSetKeeper } from './domain/replica-set/replica-set-keeper.ts';
import { FixedReplicaSet, type ReplicaSets } from './domain/replica-set/replica-sets.ts';
import type { CrdtStorage } from './domain/storage.ts';
import type { Left } from './leaving.ts';
import { createCrdtMetrics } from './metrics.ts';
import { ReplicationParts } from './replication-parts.ts';
import { RespServer } from './resp/server.ts';
import { crdtSyncRoutes } from './routes/index.ts';

/** What crdt-sync is given by its host. */
export interface CrdtSyncContext {
  readonly logger?: Logger;
  /** Milliseconds since 1970; `Date.now` by default. */
  readonly now?: () => number;
  /** By which the audit goes to the log; without it nothing is recorded. */
  readonly invoker?: Invoker | undefined;
  /** Where alerts are told; nowhere by default. */
  readonly alertSink?: AlertSink;
  /** Shared by all replicas: the replica set is kept there. Without it, settings say which it is. */
  readonly strong?: StrongContext;
  /** Told when the others are found to have forgotten this replica. Must not throw. */
  readonly onForgotten?: () => void;
  /** Who this replica was, where it was forgotten and begins anew. */
  readonly left?: Left | undefined;
}

export interface StrongContext {
  readonly store: StrongStore;
  /** Gets the store ready, where that takes a while; called again until it has. */
  readonly prepare?: () => Promise<void>;
}

export interface CrdtSync extends Service {
  /** The ports that it listens on, once started. */
  readonly port: number;
  readonly respPort: number;
}

/** A replica on a storage that is open already; the service closes it. */
export async function createCrdtSyncOn(
  config: CrdtSyncConfig,
  storage: CrdtStorage,
  context: CrdtSyncContext,
): Promise<CrdtSync> {
  const telemetry = await createTelemetry({
    serviceName: 'crdt-sync',
    version: PLANE_VERSION,
    otlpEndpoint: config.otlpEndpoint,
    flushTimeoutMs: 2_000,
  });
  const { now = Date.now, alertSink } = context;
  const { executor } = storage;
  const opIds = { now, opid_memory_ms: config.opid_memory_ms };
  const engine = new Engine({ ...config, executor, opIds, toError: toMemplaneError });
  const logger = context.logger ?? createLogger('crdt-sync', config.logLevel);
  const alerts = await loadAlerts(storage.alerts, {
    alerts_max: config.alerts_max,
    now,
    arePublished: alertSink !== undefined,
  });
  const publishing = alertSink && new AlertPublishing(alerts, alertSink);
  const keeper = keeperOf(config, context, logger);
  const sets = keeper ?? new FixedReplicaSet(config.replicaSet);
  const cluster = await ClusterParts.open(config, {
    store: storage.membership,
    alerts,
    sets,
    logger,
    now,
    incarnation: () => engine.incarnation,
    left: context.left,
    onForgotten: context.onForgotten,
  }).catch(async (error: unknown) => {
    await Promise.allSettled([storage.store.close(), telemetry.stop()]);
    throw error;
  });
  const { store } = storage;
  const replication =
    cluster &&
    new ReplicationParts(config, { cluster, engine, executor, store, alerts, sets, now, logger });
  if (keeper) keeper.participants = replication?.participants;
  const own = { storage, telemetry, engine, logger, alerts, publishing };
  const parts = { ...own, sets, keeper, cluster, replication };
  return new CrdtSyncService(config, parts, context.invoker);
}

/** One that is alone has nobody to agree with. */
function keeperOf(
  { gossip, replicaId: self, replicaSet, replicaSetPollMs: pollMs }: CrdtSyncConfig,
  { strong }: CrdtSyncContext,
  logger: Logger,
): ReplicaSetKeeper | undefined {
  if (strong === undefined || gossip === undefined) return undefined;
  return new ReplicaSetKeeper({
    ...strong,
    self,
    proposal: replicaSet,
    timers: systemTimers,
    pollMs,
    newNonce: randomUUID,
    onFailure: (what, error) => logger.warn({ error }, what),
    onVersion: ({ replicas, version }) => logger.info({ version, replicas }, 'the replica set'),
  });
}

/** Damage to the list is itself an alert, and no reason not to start. */
async function loadAlerts(
  store: AlertStore,
  options: {
    readonly alerts_max: number;
    readonly now: () => number;
    readonly arePublished: boolean;
  },
): Promise<Alerts> {
  try {
    return new Alerts({ ...options, store, before: await store.loadAlerts() });
  } catch (cause) {
    const error = toMemplaneError(cause);
    if (error.code !== 'storage_damaged') throw error;
    const alerts = new Alerts({ ...options, store, before: [] });
    alerts.raise(error.code, error.message, 'alerts');
    return alerts;
  }
}

interface Parts {
  readonly storage: CrdtStorage;
  readonly telemetry: Telemetry;
  readonly engine: Engine;
  readonly logger: Logger;
  readonly alerts: Alerts;
  readonly publishing: AlertPublishing | undefined;
  readonly sets: ReplicaSets;
  /** Who keeps to the record of the set; undefined where it is fixed. */
  readonly keeper: ReplicaSetKeeper | undefined;
  /** Undefined where this replica is alone. */
  readonly cluster: ClusterParts | undefined;
  readonly replication: ReplicationParts | undefined;
}

class CrdtSyncService implements CrdtSync {
  readonly name = 'crdt-sync';
  readonly #parts: Parts;
  readonly #storageProbeIntervalMs: number;
  readonly #alertPublishIntervalMs: number;
  #publishTimer: NodeJS.Timeout | undefined;
  #isPublishingFailureTold = false;
  #toldFailure: string | undefined;
  #watch: NodeJS.Timeout | undefined;
  #isProbing = false;
  readonly #server: HttpServer;
  readonly #resp: RespServer;
  readonly #reconciling: Reconciling;
  readonly #stopping = new AbortController();
  #port = 0;

  constructor(config: CrdtSyncConfig, parts: Parts, invoker: Invoker | undefined) {
    this.#parts = parts;
    this.#storageProbeIntervalMs = config.storageProbeIntervalMs;
    this.#alertPublishIntervalMs = config.alertPublishIntervalMs;
    const { alerts, cluster, engine, replication, sets, storage, telemetry, logger } = parts;
    const { store } = storage;
    const others = replication?.reconciliation;
    this.#reconciling = new Reconciling({ engine, store, alerts, others });
    if (replication) replication.onDamage = () => void this.#repair();
    const appendfsync = () => storage.appendfsync;
    const members = cluster?.members;
    this.#server = new HttpServer({
      ...config,
      admission: admissionOf(config),
      name: this.name,
      version: PLANE_VERSION,
      description: 'Counters, sets, registers and maps of them that any replica may update.',
      telemetry,
      logger,
      auditSink: invoker && auditThrough(invoker),
      routes: crdtSyncRoutes({
        ...parts,
        ...config,
        store,
        members,
        reconciling: this.#reconciling,
        hasSidecar: config.appToken !== undefined,
      }),
      readiness: () => ({
        ready: engine.storageFailure === undefined,
        storage: engine.storageFailure?.code ?? 'ok',
        incarnation: engine.incarnation,
        queuedCommands: engine.queued,
        failedCommits: engine.stats.failedCommits,
        unpublishedAlerts: parts.alerts.unpublished().length,
        replicaSet: sets.current ?? null,
        ...storage.describe(),
        ...cluster?.describe(),
        ...parts.replication?.describe(),
      }),
    });
    this.#resp = new RespServer({
      ...config,
      access: this.#server.access,
      audit: () => this.#server.audit,
      admission: () => this.#server.admission,
      engine,
      store,
      logger,
      appendfsync,
      membersView: () => membersView({ ...config, engine, sets, members }),
    });
    createCrdtMetrics(telemetry.meter, engine, this.#resp);
    createClusterMetrics(telemetry.meter, cluster, replication);
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
    this.#parts.cluster?.start();
    this.#parts.replication?.start();
    this.#parts.keeper?.start();
    this.#watch = setInterval(() => this.#watchStorage(), this.#storageProbeIntervalMs);
    if (this.#parts.publishing) {
      this.#publishTimer = setInterval(() => void this.#publish(), this.#alertPublishIntervalMs);
    }
    this.#parts.logger.info({ port: this.#port, respPort: this.respPort }, 'listening');
  }

  /** A storage that fails is told, and tried again, so that a replica nobody writes to recovers. */
  #watchStorage(): void {
    const { engine, alerts, logger } = this.#parts;
    const failure = engine.storageFailure;
    if (failure !== undefined && !this.#isProbing) {
      if (this.#toldFailure !== failure.code) {
        alerts.raise(failure.code, failure.message, 'storage');
        this.#toldFailure = failure.code;
      }
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
    if (failure === undefined && this.#toldFailure !== undefined) {
      alerts.clear(this.#toldFailure, 'storage');
      this.#toldFailure = undefined;
    }
    if (failure !== undefined || !alerts.unsaved) return;
    alerts.save().catch((error: unknown) => logger.warn({ error }, 'alerts are not saved'));
  }

  /** What is damaged holds up what others have committed: nobody has to ask for its repair. */
  async #repair(): Promise<void> {
    if (this.#reconciling.isRunning) return;
    const { logger } = this.#parts;
    try {
      const { repaired } = await this.#reconciling.run(false, this.#stopping.signal);
      logger.warn({ repaired }, 'damaged values were taken from other replicas');
    } catch (error) {
      logger.warn({ error }, 'damaged values are not repaired');
    }
  }

  /** Tries again at its next turn; alerts stay marked until they are told. */
  async #publish(): Promise<void> {
    try {
      await this.#parts.publishing?.run();
      this.#isPublishingFailureTold = false;
    } catch (error) {
      if (this.#isPublishingFailureTold) return;
      this.#isPublishingFailureTold = true;
      this.#parts.logger.warn({ error }, 'alerts are not published');
    }
  }

  /** Refuses the new, and waits until what was taken is durable and answered. */
  async drain(): Promise<void> {
    this.#stopping.abort();
    clearInterval(this.#watch);
    clearInterval(this.#publishTimer);
    await Promise.all([this.#server.drain(), this.#resp.drain()]);
    await this.#parts.engine.drain();
    // The others take nothing from one that they have forgotten.
    if (this.#parts.cluster?.isForgotten !== true) await this.#parts.replication?.drain();
    await this.#parts.cluster?.drain();
  }

  async stop(): Promise<void> {
    clearInterval(this.#watch);
    clearInterval(this.#publishTimer);
    this.#parts.keeper?.stop();
    this.#parts.replication?.stop();
    await Promise.all([this.#server.stop(), this.#resp.stop(), this.#parts.cluster?.stop()]);
    const { alerts, logger, storage } = this.#parts;
    await alerts.save().catch((error: unknown) => logger.warn({ error }, 'alerts are not saved'));
    await this.#parts.engine
      .flush()
      .catch((error: unknown) => logger.warn({ error }, 'the vector is not saved'));
    await storage.store.close();
    await this.#parts.telemetry.stop();
  }
}
