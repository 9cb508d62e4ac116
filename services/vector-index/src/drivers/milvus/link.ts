import { MemplaneError } from '@memplane/contracts';
import {
  ConsistencyLevelEnum,
  type FieldType,
  MilvusClient,
  type RowData,
} from '@zilliz/milvus2-sdk-node';
import { positionFields, pqParts, rowFields, scalarIndexes } from './schema.ts';

export interface MilvusLinkOptions {
  readonly address: string;
  /** `user:password`, where the server asks for it. */
  readonly token: string | undefined;
  /** Under which the live collection is found; also the beginning of every collection's name. */
  readonly alias: string;
  /** Longest call, but for loading and flushing. */
  readonly callTimeoutMs: number;
  /** Longest search. */
  readonly searchTimeoutMs: number;
  /** Longest that a collection may take to load, or a flush. */
  readonly loadTimeoutMs: number;
  /** Milvus' partitions of a collection, by the key of the entity. */
  readonly milvus_partitions: number;
  /** Lists of the inverted file, and how many of them a search looks into. */
  readonly ivf_lists: number;
  readonly ivf_probes: number;
}

export interface StoredPosition {
  readonly offset: number;
  readonly writer: string;
}

interface Answer {
  readonly status?: {
    readonly code?: number;
    readonly error_code?: unknown;
    readonly reason?: string;
  };
}

/** One connection to Milvus: what the driver asks of it, with bounds, and its errors as ours. */
export class MilvusLink {
  readonly #options: MilvusLinkOptions;
  readonly #client: MilvusClient;
  /** After a failure what is searchable may be less than it was: the next search makes sure. */
  #doubt = true;

  private constructor(options: MilvusLinkOptions) {
    this.#options = options;
    this.#client = new MilvusClient({
      address: options.address,
      ...(options.token === undefined ? {} : { token: options.token }),
      timeout: options.callTimeoutMs,
      maxRetries: 1,
      logLevel: 'error',
      channelOptions: {
        'grpc.initial_reconnect_backoff_ms': 100,
        'grpc.max_reconnect_backoff_ms': 1_000,
      },
    });
  }

  /** @throws MemplaneError `dependency_unavailable` */
  static async open(options: MilvusLinkOptions): Promise<MilvusLink> {
    const link = new MilvusLink(options);
    try {
      await link.#client.connectPromise;
      return link;
    } catch (error) {
      await link.close();
      throw unavailable(error);
    }
  }

  async close(): Promise<void> {
    await this.#client.closeConnection().catch(() => {});
  }

  /** Makes the collection where it is missing, and loads it; true when it was made. */
  async ensureRows(collection: string, dimensions: number): Promise<boolean> {
    const { ivf_lists: nlist, milvus_partitions } = this.#options;
    const made = await this.#ensure(collection, rowFields(dimensions), milvus_partitions);
    await this.#index(collection, 'vector', 'IVF_PQ', { nlist, m: pqParts(dimensions), nbits: 8 });
    const { version } = await this.#call(() => this.#client.getVersion());
    for (const { field, type } of scalarIndexes(version)) {
      await this.#index(collection, field, type);
    }
    await this.#load(collection);
    return made;
  }

  async ensurePositions(): Promise<void> {
    await this.#ensure(this.#positions, positionFields());
    await this.#index(this.#positions, 'unused', 'FLAT', {});
    await this.#load(this.#positions);
  }

  /** Writes rows over those of the same keys. Durable in Milvus' own log when it returns. */
  async upsert(collection: string, data: RowData[]): Promise<void> {
    const timeout = this.#options.loadTimeoutMs;
    await this.#call(() => this.#client.upsert({ collection_name: collection, data, timeout }));
  }

  async remove(collection: string, positions: readonly number[]): Promise<void> {
    await this.#call(() =>
      this.#client.deleteEntities({
        collection_name: collection,
        expr: `position in [${positions.join()}]`,
      }),
    );
  }

  /** Rows in storage, and how many of them the index of vectors has. */
  async indexed(collection: string): Promise<{ rows: number; indexed: number }> {
    const found = await this.#call(() =>
      this.#client.getIndexBuildProgress({
        collection_name: collection,
        index_name: 'vector_index',
      }),
    );
    return { rows: Number(found.total_rows), indexed: Number(found.indexed_rows) };
  }

  /** All that was written is in its storage when this returns. */
  async flush(collection: string): Promise<void> {
    const timeout = this.#options.loadTimeoutMs;
    const deadline = Date.now() + timeout;
    const flushed = await this.#call(() =>
      this.#client.flush({ collection_names: [collection], timeout }),
    );
    const segmentIDs = flushed.coll_segIDs[collection]?.data ?? [];
    for (;;) {
      const state = await this.#call(() => this.#client.getFlushState({ segmentIDs }));
      if (segmentIDs.length === 0 || state.flushed) return;
      if (Date.now() > deadline) throw unavailable(new Error(`a flush took over ${timeout} ms`));
      await new Promise((resolve) => setTimeout(resolve, FLUSH_POLL_MS));
    }
  }

  /** All that was written before is found by every later search when this returns. */
  async makeSearchable(collection: string): Promise<void> {
    await this.#call(() =>
      this.#client.query({
        collection_name: collection,
        expr: 'position == -1',
        output_fields: ['position'],
        consistency_level: ConsistencyLevelEnum.Strong,
        timeout: this.#options.callTimeoutMs,
      }),
    );
  }

  async search(
    collection: string,
    vector: Float32Array,
    limit: number,
    expression: string,
  ): Promise<{ position: number; score: number }[]> {
    if (this.#doubt) {
      await this.makeSearchable(collection);
      this.#doubt = false;
    }
    const found = await this.#call(() =>
      this.#client.search({
        collection_name: collection,
        data: Array.from(vector),
        limit,
        expr: expression,
        output_fields: ['position'],
        params: { nprobe: this.#options.ivf_probes },
        consistency_level: ConsistencyLevelEnum.Eventually,
        timeout: this.#options.searchTimeoutMs,
      }),
    );
    return found.results.map((row) => ({ position: Number(row['position']), score: row.score }));
  }

  async countRows(collection: string): Promise<number> {
    const found = await this.#call(() =>
      this.#client.query({
        collection_name: collection,
        expr: '',
        output_fields: ['count(*)'],
        consistency_level: ConsistencyLevelEnum.Strong,
      }),
    );
    return Number(found.data[0]?.['count(*)'] ?? 0);
  }

  async positions(collection: string): Promise<Map<number, StoredPosition>> {
    const found = await this.#call(() =>
      this.#client.query({
        collection_name: this.#positions,
        expr: `collection == "${collection}"`,
        output_fields: ['partition', 'offset', 'writer'],
        consistency_level: ConsistencyLevelEnum.Strong,
      }),
    );
    const positions = new Map<number, StoredPosition>();
    for (const row of found.data) {
      const partition = Number(row['partition']);
      const offset = Number(row['offset']);
      // A key written twice may show its older row beside the newer one.
      if (offset <= (positions.get(partition)?.offset ?? -1)) continue;
      positions.set(partition, { offset, writer: String(row['writer']) });
    }
    return positions;
  }

  async setPositions(
    collection: string,
    writer: string,
    offsets: ReadonlyMap<number, number>,
  ): Promise<void> {
    const data = [...offsets].map(([partition, offset]) => ({
      id: `${collection}/${partition}`,
      collection,
      partition: String(partition),
      offset: String(offset),
      writer,
      unused: [0, 1],
    }));
    if (data.length > 0) await this.upsert(this.#positions, data);
  }

  async removePositions(collection: string): Promise<void> {
    const known = await this.positions(collection);
    if (known.size === 0) return;
    const ids = [...known.keys()].map((partition) => `"${collection}/${partition}"`);
    await this.#call(() =>
      this.#client.deleteEntities({
        collection_name: this.#positions,
        expr: `id in [${ids.join()}]`,
      }),
    );
  }

  /** The collection that has the common name; undefined before the first. */
  async aliased(): Promise<string | undefined> {
    const { alias } = this.#options;
    try {
      const found = await this.#client.describeAlias({ alias, collection_name: alias });
      return found.status.code === 0 ? found.collection : undefined;
    } catch (error) {
      throw unavailable(error);
    }
  }

  async setAlias(collection: string): Promise<void> {
    const { alias } = this.#options;
    const request = { alias, collection_name: collection };
    const altered = await this.#client.alterAlias(request).catch(() => undefined);
    if (altered?.code === 0) return;
    await this.#call(() => this.#client.createAlias(request));
  }

  async drop(collection: string): Promise<void> {
    await this.removePositions(collection);
    await this.#call(() => this.#client.dropCollection({ collection_name: collection }));
  }

  get #positions(): string {
    return `${this.#options.alias}_positions`;
  }

  async #ensure(name: string, fields: FieldType[], partitions?: number): Promise<boolean> {
    const found = await this.#call(() => this.#client.hasCollection({ collection_name: name }));
    if (found.value) return false;
    await this.#call(() =>
      this.#client.createCollection({
        collection_name: name,
        fields,
        shards_num: 1,
        consistency_level: 'Eventually',
        ...(partitions === undefined ? {} : { num_partitions: partitions }),
      }),
    );
    return true;
  }

  async #index(collection: string, field: string, type: string, params?: object): Promise<void> {
    await this.#call(() =>
      this.#client.createIndex({
        collection_name: collection,
        field_name: field,
        index_name: `${field}_index`,
        index_type: type,
        ...(params ? { metric_type: 'IP', params } : {}),
      }),
    );
  }

  async #load(collection: string): Promise<void> {
    await this.#call(() =>
      this.#client.loadCollectionSync({
        collection_name: collection,
        timeout: this.#options.loadTimeoutMs,
      }),
    );
  }

  /** @throws MemplaneError `dependency_unavailable` */
  async #call<T extends object>(call: () => Promise<T>): Promise<T> {
    let answer: T;
    try {
      answer = await call();
    } catch (error) {
      this.#doubt = true;
      throw unavailable(error);
    }
    const told = answer as Answer & { code?: number; reason?: string };
    const status = told.status ?? told;
    if ((status.code ?? 0) === 0) return answer;
    this.#doubt = true;
    throw unavailable(new Error(status.reason ?? `code ${status.code}`));
  }
}

const FLUSH_POLL_MS = 50;

function unavailable(cause: unknown): MemplaneError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new MemplaneError('dependency_unavailable', `Milvus: ${reason}`, {
    cause,
    retryAfterMs: 500,
  });
}
