import { MemplaneError } from '@memplane/contracts';
import { type Logger, pause } from '@memplane/runtime';
import type { NearRow, TenantVectors } from '../../domain/ports.ts';
import type { Database } from '../database.ts';
import type { TenantParts, VectorShape, VectorsElsewhere } from '../vectors-elsewhere.ts';
import { HedgeDelay } from './hedge-delay.ts';
import { MilvusLink, type MilvusLinkOptions } from './link.ts';
import { type Collection, MilvusTenant, type NearbyOptions } from './milvus-tenant.ts';
import { MilvusWriter, type WriterOptions } from './milvus-writer.ts';
import { collectionName } from './schema.ts';
import { VectorCache } from './vector-cache.ts';

export interface MilvusOptions extends MilvusLinkOptions, NearbyOptions, WriterOptions {
  readonly logger: Logger;
  /** Memory for exact vectors that were read last. */
  readonly exact_cache_bytes_max: number;
  /** Longest pause after a failure. */
  readonly retryMsMax: number;
  /** Before that no answer of Milvus' is late; see {@link HedgeDelay}. */
  readonly hedgeDelayMs: number;
}

const RETRY_MS_MIN = 100;
const STEP_MS = 100;
/** How long Milvus is not asked after a search of it has failed. */
const AVOID_MS = 1_000;
const REMOVE_ROWS_MAX = 1_000;

/** The vectors of one generation in a Milvus collection of their own. */
export class MilvusVectors implements VectorsElsewhere, Collection {
  readonly options: MilvusOptions;
  readonly dimensions: number;
  readonly cache: VectorCache;
  readonly #hedge: HedgeDelay;
  readonly #model: string | undefined;
  readonly #tenants = new Map<string, MilvusTenant>();
  readonly #stopping = new AbortController();
  readonly #room = new Set<() => void>();
  readonly #writer: MilvusWriter;
  #name = '';
  #link: MilvusLink | undefined;
  #problem: MemplaneError | undefined;
  #wantsAlias = false;
  /** Keys of rows whose history is gone. */
  readonly #toRemove: number[] = [];
  /** Rows that are to be stored again because the collection lost them: they leave room as it is. */
  #again = 0;
  #avoidUntil = 0;
  #isRunning = false;
  /** To connect anew: what is stored is to be compared with what is here. */
  #isStarting = false;
  #loop: Promise<void> = Promise.resolve();

  constructor(shape: VectorShape, options: MilvusOptions) {
    this.options = options;
    this.dimensions = shape.dimensions;
    this.cache = new VectorCache(shape.dimensions, options.exact_cache_bytes_max);
    this.#hedge = new HedgeDelay(options.hedgeDelayMs);
    this.#model = shape.model;
    this.#writer = new MilvusWriter(options, this.#tenants, () => this.#madeRoom());
  }

  /** The collection's name; empty before {@link start}. */
  get collection(): string {
    return this.#name;
  }

  get problem(): MemplaneError | undefined {
    return this.#problem;
  }

  get removing(): number {
    return this.#toRemove.length;
  }

  get unsettled(): number {
    let sum = 0;
    for (const tenant of this.#tenants.values()) sum += tenant.unsettled;
    return sum;
  }

  get caughtUp(): boolean {
    return this.#link !== undefined && this.unsettled < this.options.flush_rows_max;
  }

  tenant(parts: TenantParts): TenantVectors {
    this.#writer.attach(parts.db);
    const tenant = new MilvusTenant(parts, this);
    this.#tenants.set(parts.tenant, tenant);
    return tenant;
  }

  dropped(): void {
    this.#tenants.clear();
    this.#writer.forget();
  }

  start(logId: string, db: Database, appliedOf: (partition: number) => number): void {
    const { alias } = this.options;
    this.#name = collectionName(alias, logId, this.#model, this.dimensions);
    this.#writer.begin(this.#name, db, appliedOf);
    this.#isStarting = true;
    if (!this.#isRunning) this.#loop = this.#run();
  }

  claim(partition: number): void {
    this.#writer.claim(partition);
  }

  promote(): void {
    this.#wantsAlias = true;
  }

  room(signal: AbortSignal): Promise<void> | undefined {
    if (this.unsettled < this.options.unsettled_rows_max + this.#again) return undefined;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#room.add(resolve);
    signal.addEventListener('abort', () => resolve(), { once: true });
    return promise;
  }

  settledOf(partition: number): number {
    return this.#writer.settledOf(partition);
  }

  arrived(partition: number): void {
    this.#writer.arrived(partition);
  }

  get lateAfterMs(): number {
    return this.#hedge.ms;
  }

  async search(vector: Float32Array, limit: number, expression: string): Promise<NearRow[]> {
    const link = this.#link;
    if (!link || performance.now() < this.#avoidUntil) {
      throw (
        this.#problem ??
        new MemplaneError('dependency_unavailable', 'Milvus does not answer.', {
          retryAfterMs: 500,
        })
      );
    }
    try {
      const askedMs = performance.now();
      const found = await link.search(this.#name, vector, limit, expression);
      this.#hedge.note(performance.now() - askedMs);
      return found;
    } catch (error) {
      // One that hangs costs one search its patience, not each.
      this.#avoidUntil = performance.now() + AVOID_MS;
      throw error;
    }
  }

  supersededBy(next: VectorsElsewhere): void {
    if (!(next instanceof MilvusVectors) || next.#name !== this.#name) return;
    for (const [name, tenant] of this.#tenants) {
      const kept = next.#tenants.get(name);
      for (const position of tenant.positions()) {
        if (!kept?.has(position)) next.#toRemove.push(position);
      }
    }
  }

  async close(remove = false): Promise<void> {
    this.#stopping.abort();
    await this.#loop;
    for (const resolve of this.#room) resolve();
    let link = this.#link;
    this.#link = undefined;
    if (remove) {
      try {
        link ??= await MilvusLink.open(this.options);
        await this.#dropWhenReplaced(link);
      } catch (err) {
        this.options.logger.warn({ err, collection: this.#name }, 'the old collection stays');
      }
    }
    await link?.close();
  }

  async #run(): Promise<void> {
    this.#isRunning = true;
    const { signal } = this.#stopping;
    const { logger, retryMsMax } = this.options;
    let failures = 0;
    while (!signal.aborted) {
      try {
        if (this.#isStarting) await this.#disconnect();
        this.#isStarting = false;
        this.#link ??= await this.#connect();
        const worked = await this.#writer.step(this.#link);
        if (this.#wantsAlias) await this.#takeAlias(this.#link);
        if (this.#toRemove.length > 0) await this.#remove(this.#link);
        this.#problem = undefined;
        failures = 0;
        if (!worked) await pause(STEP_MS, signal);
      } catch (error) {
        if (signal.aborted) break;
        this.#problem =
          error instanceof MemplaneError
            ? error
            : new MemplaneError('internal', 'Storing vectors has failed.', { cause: error });
        const pauseMs = Math.min(retryMsMax, RETRY_MS_MIN * 2 ** Math.min(failures++, 10));
        if (failures > 2) {
          const { message: problem, cause: err } = this.#problem;
          const isForeign = this.#problem.code === 'dependency_unavailable';
          logger.warn(
            { problem, pauseMs, ...(isForeign ? {} : { err }) },
            'vectors can not be stored',
          );
        }
        await this.#disconnect();
        await pause(pauseMs, signal);
      }
    }
    this.#isRunning = false;
  }

  async #disconnect(): Promise<void> {
    this.#writer.interrupted();
    const link = this.#link;
    this.#link = undefined;
    await link?.close();
  }

  async #connect(): Promise<MilvusLink> {
    const name = this.#name;
    const link = await MilvusLink.open(this.options);
    try {
      await link.ensurePositions();
      const isNew = await link.ensureRows(name, this.dimensions);
      // What is known of a collection of this name that is no more.
      if (isNew) await link.removePositions(name);
      this.#again = this.#writer.compare(await link.positions(name));
      if (this.#again > 0) {
        const { logger } = this.options;
        logger.warn({ rows: this.#again, collection: name }, 'vectors are stored again');
      }
      return link;
    } catch (error) {
      await link.close();
      throw error;
    }
  }

  async #remove(link: MilvusLink): Promise<void> {
    const positions = this.#toRemove.slice(-REMOVE_ROWS_MAX);
    await link.remove(this.#name, positions);
    this.#toRemove.length -= positions.length;
  }

  /** The collection goes once another has its common name. */
  async #dropWhenReplaced(link: MilvusLink): Promise<void> {
    const deadline = performance.now() + this.options.loadTimeoutMs;
    while ((await link.aliased()) === this.#name) {
      if (performance.now() > deadline) {
        throw new MemplaneError('deadline_exceeded', 'The common name was not taken over.');
      }
      await pause(STEP_MS, AbortSignal.timeout(this.options.callTimeoutMs));
    }
    await link.drop(this.#name);
  }

  async #takeAlias(link: MilvusLink): Promise<void> {
    if ((await link.aliased()) !== this.#name) await link.setAlias(this.#name);
    this.#wantsAlias = false;
  }

  #madeRoom(): void {
    const { unsettled } = this;
    const { unsettled_rows_max } = this.options;
    this.#again = Math.min(this.#again, unsettled);
    if (unsettled >= unsettled_rows_max + this.#again) return;
    for (const resolve of this.#room) resolve();
    this.#room.clear();
  }
}
