import { mkdir } from 'node:fs/promises';
import type { ServiceName } from '@memplane/contracts';
import { createCrdtSync, readCrdtSyncConfig } from '@memplane/crdt-sync';
import { createEventIngest, readIngestConfig } from '@memplane/event-ingest';
import {
  acquireDirectoryLock,
  type DirectoryLock,
  type EmbeddedLog,
  openEmbeddedLog,
} from '@memplane/event-log';
import { createHttpInvoker, type Env, type Service } from '@memplane/runtime';
import { crdtDirOf, logDirOf } from './places.ts';
import type { StandaloneConfig } from './settings.ts';
import type { WorkerSetup } from './worker-protocol.ts';
import { WorkerService } from './worker-service.ts';

const THREADS = ['materializer', 'vector-index'] as const satisfies readonly ServiceName[];

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
    const { config, env, onCrash } = options;
    await mkdir(config.dataDir, { recursive: true }).catch(() => {});
    const lock = acquireDirectoryLock(config.dataDir);
    const { dataDir, urls, token, logLevel, startTimeoutMs } = config;
    const setup: WorkerSetup = { dataDir, urls, token, logLevel };
    // Threads load their code while the log is opened.
    const threads = THREADS.map(
      (name) => new WorkerService({ name, setup, startTimeoutMs, onCrash }),
    );
    const made: Service[] = [];
    let starts: readonly Promise<void>[] = [];
    let log: EmbeddedLog | undefined;
    try {
      const opened = await openEmbeddedLog({
        dir: logDirOf(dataDir),
        partitions: config.partitions,
        produceDeadlineMs: readIngestConfig(env).produceDeadlineMs,
        lock: false,
      });
      log = opened;
      for (const thread of threads) thread.attach(opened.shared, opened.admin);
      made.push(await createIngest(config, env, opened), await createCrdt(config, env));
      const services = [...made, ...threads];
      starts = services.map((service) => service.start());
      await Promise.all(starts);
      return new StandalonePlane(lock, opened, services);
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

/** Waits for the work, no longer than `timeoutMs`, and for no success. */
async function within(timeoutMs: number, work: () => Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, timeoutMs);
  });
  await Promise.race([work().catch(() => {}), late]);
  clearTimeout(timer);
}

function createIngest(config: StandaloneConfig, env: Env, log: EmbeddedLog): Promise<Service> {
  const headers = config.token ? { authorization: `Bearer ${config.token}` } : {};
  const invoker = createHttpInvoker(config.urls, { headers });
  const settings = readIngestConfig({ ...env, MEMPLANE_LOG_LEVEL: config.logLevel });
  return createEventIngest(settings, { logWriter: log.writer, invoker });
}

function createCrdt(config: StandaloneConfig, env: Env): Promise<Service> {
  const settings = readCrdtSyncConfig({ ...env, MEMPLANE_LOG_LEVEL: config.logLevel });
  return createCrdtSync(settings, { dir: crdtDirOf(config.dataDir) });
}
