import { randomBytes } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import type { ServiceName } from '@memplane/contracts';
import { createCrdtSync, readCrdtSyncConfig } from '@memplane/crdt-sync';
import { createEventIngest, RocksStrong, readIngestConfig } from '@memplane/event-ingest';
import {
  acquireDirectoryLock,
  type DirectoryLock,
  type EmbeddedLog,
  openEmbeddedLog,
} from '@memplane/event-log';
import { createHttpInvoker, type Env, type Service, serviceHeaders } from '@memplane/runtime';
import { auditDirOf, crdtDirOf, logDirOf, strongDirOf } from './places.ts';
import { refuseHalfRestored } from './restore-mark.ts';
import type { StandaloneConfig } from './settings.ts';
import { setThreadPriorities } from './thread-priorities.ts';
import type { WorkerSetup } from './worker-protocol.ts';
import { WorkerService } from './worker-service.ts';

export interface PlaneOptions {
  readonly config: StandaloneConfig;
  readonly env: Env;
  /** A thread has died: the plane can't go on. */
  readonly onCrash: (name: ServiceName, why: string) => void;
}

/**
 * The one-process plane: event-ingest and crdt-sync in this thread, the other two in one each. Ends
 * in the order in which data flows, so that what is acknowledged is seen through.
 */
export class StandalonePlane {
  readonly #lock: DirectoryLock;
  readonly #log: EmbeddedLog;
  readonly #services: readonly Service[];

  private constructor(lock: DirectoryLock, log: EmbeddedLog, services: readonly Service[]) {
    this.#lock = lock;
    this.#log = log;
    this.#services = services;
  }

  /** @throws what opening the data folder, or a port in use, throws; then nothing is left running */
  static async start(options: PlaneOptions): Promise<StandalonePlane> {
    const { onCrash } = options;
    const config = withPlaneToken(options.config);
    const auditDir = config.auditDir ?? auditDirOf(config.dataDir);
    const env = {
      ...options.env,
      MEMPLANE_PLANE_TOKEN: config.planeToken,
      MEMPLANE_AUDIT_DIR: auditDir,
    };
    await mkdir(config.dataDir, { recursive: true }).catch(() => {});
    const lock = acquireDirectoryLock(config.dataDir);
    const { dataDir, urls, token, planeToken, logLevel, startTimeoutMs } = config;
    try {
      refuseHalfRestored(dataDir);
    } catch (error) {
      lock.release();
      throw error;
    }
    const setup: WorkerSetup = { dataDir, auditDir, urls, token, planeToken, logLevel };
    const threads: WorkerService[] = [];
    const newThread = (name: ServiceName): WorkerService => {
      const thread = new WorkerService({ name, setup, startTimeoutMs, onCrash });
      threads.push(thread);
      return thread;
    };
    // It loads its code while the log is opened.
    const materializer = newThread('materializer');
    const made: Service[] = [];
    const starts: Promise<void>[] = [];
    let log: EmbeddedLog | undefined;
    try {
      const opened = await openEmbeddedLog({
        dir: logDirOf(dataDir),
        partitions: config.partitions,
        produceDeadlineMs: readIngestConfig(env).produceDeadlineMs,
        lock: false,
      });
      log = opened;
      const start = (service: Service): void => {
        const started = service.start();
        started.catch(() => {}); // told by the wait for all of them
        starts.push(started);
      };
      materializer.attach(opened.shared, opened.admin);
      start(materializer);
      made.push(await createIngest(config, env, opened), await createCrdt(config, env));
      // Of two cores the views had one to themselves so far: everything else needs them.
      const vectorIndex = newThread('vector-index');
      vectorIndex.attach(opened.shared, opened.admin);
      for (const service of [...made, vectorIndex]) start(service);
      await Promise.all(starts);
      setThreadPriorities();
      return new StandalonePlane(lock, opened, [...made, materializer, vectorIndex]);
    } catch (error) {
      await within(config.drainTimeoutMs, async () => {
        // One that opens its port after it was stopped would keep the process alive for good.
        await Promise.allSettled([...threads.map((thread) => thread.terminate()), ...starts]);
        await Promise.allSettled(made.map((service) => service.stop()));
        await log?.writer.close();
      });
      lock.release();
      throw error;
    }
  }

  async drain(): Promise<void> {
    for (const service of this.#services) await service.drain();
  }

  async stop(): Promise<void> {
    for (const service of [...this.#services].reverse()) await service.stop();
    await this.#log.writer.close();
    this.#lock.release();
  }
}

/** Only this process needs to know what its services prove themselves by. */
function withPlaneToken(config: StandaloneConfig): StandaloneConfig {
  if (config.tenantsFile === undefined || config.planeToken !== undefined) return config;
  return { ...config, planeToken: randomBytes(32).toString('base64url') };
}

/** Waits for the work, no longer than `timeoutMs`, and for no success. */
async function within(timeoutMs: number, work: () => Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, timeoutMs);
  });
  await Promise.race([work().catch(() => {}), late]);
  clearTimeout(timer);
}

async function createIngest(
  config: StandaloneConfig,
  env: Env,
  log: EmbeddedLog,
): Promise<Service> {
  const invoker = createHttpInvoker(config.urls, { headers: serviceHeaders(config) });
  const settings = readIngestConfig({ ...env, MEMPLANE_LOG_LEVEL: config.logLevel });
  const store = await RocksStrong.open(strongDirOf(config.dataDir));
  const strong = { store, isAlone: true };
  return createEventIngest(settings, {
    logWriter: log.writer,
    logGrowth: log.growth,
    invoker,
    strong,
  });
}

function createCrdt(config: StandaloneConfig, env: Env): Promise<Service> {
  const invoker = createHttpInvoker(config.urls, { headers: serviceHeaders(config) });
  const settings = readCrdtSyncConfig({ ...env, MEMPLANE_LOG_LEVEL: config.logLevel });
  return createCrdtSync(settings, { dir: crdtDirOf(config.dataDir), invoker });
}
