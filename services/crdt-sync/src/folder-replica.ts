import { createLogger, type Logger } from '@memplane/runtime';
import type { CrdtSyncConfig } from './config.ts';
import { type Identified, openFolder } from './leaving.ts';
import { type CrdtSync, type CrdtSyncContext, createCrdtSyncOn } from './service.ts';

export interface FolderContext extends CrdtSyncContext {
  readonly dir: string;
}

/**
 * A replica in a folder of its own, which the service opens and closes. One that the others forget
 * leaves, and takes part again under another id, at once and without a restart of the process.
 * @throws MemplaneError what opening the store throws
 */
export async function createCrdtSync(
  config: CrdtSyncConfig,
  context: FolderContext,
): Promise<CrdtSync> {
  const replica = new FolderReplica(config, context);
  await replica.open();
  return replica;
}

class FolderReplica implements CrdtSync {
  readonly name = 'crdt-sync';
  readonly #context: FolderContext;
  readonly #logger: Logger;
  #config: CrdtSyncConfig;
  #service: CrdtSync | undefined;
  /** A forgotten replica that can not export what it holds keeps it, and stays what it is. */
  #canLeave = true;
  #isEnding = false;
  #beginningAnew: Promise<void> | undefined;

  constructor(config: CrdtSyncConfig, context: FolderContext) {
    this.#config = config;
    this.#context = context;
    this.#logger = context.logger ?? createLogger('crdt-sync', config.logLevel);
  }

  get port(): number {
    return this.#service?.port ?? 0;
  }

  get respPort(): number {
    return this.#service?.respPort ?? 0;
  }

  async open(): Promise<void> {
    const { dir, now = Date.now } = this.#context;
    const opened = await openFolder(this.#config, { dir, now });
    this.#tell(opened);
    this.#service = await createCrdtSyncOn(opened.config, opened.storage, {
      ...this.#context,
      logger: this.#logger,
      left: opened.left,
      onForgotten: () => this.#forgotten(),
    });
  }

  async start(): Promise<void> {
    await this.#service?.start();
  }

  async drain(): Promise<void> {
    this.#isEnding = true;
    await this.#beginningAnew;
    await this.#service?.drain();
  }

  async stop(): Promise<void> {
    this.#isEnding = true;
    await this.#beginningAnew;
    await this.#service?.stop();
  }

  #tell({ failure, left }: Identified): void {
    if (failure !== undefined) {
      this.#canLeave = false;
      const what = 'this replica is forgotten, and can not export what it holds';
      this.#logger.error({ error: failure }, what);
    }
    if (left) this.#logger.warn(left, 'this replica was forgotten, and begins anew');
  }

  /** What fails in it ends the process: its next start goes on where this one ended. */
  #forgotten(): void {
    if (!this.#canLeave || this.#isEnding || this.#beginningAnew !== undefined) return;
    this.#beginningAnew = this.#beginAnew().finally(() => {
      this.#beginningAnew = undefined;
    });
  }

  async #beginAnew(): Promise<void> {
    const { port, respPort } = this;
    await this.#service?.drain();
    await this.#service?.stop();
    this.#config = { ...this.#config, port, respPort };
    await this.open();
    await this.start();
  }
}
