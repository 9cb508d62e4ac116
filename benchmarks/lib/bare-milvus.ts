import { clusteredVectors } from '@memplane/testkit';
import { ConsistencyLevelEnum, DataType, MilvusClient } from '@zilliz/milvus2-sdk-node';
import { CLASSES, SEEDS, TOP_K } from './recall.ts';

/** One setting of a search, from fast to thorough. */
export interface Step {
  readonly params: Readonly<Record<string, number>>;
  /** Rows that are asked for; where more than wanted, with their vectors, and ranked again here. */
  readonly limit: number;
}

/** An index of Milvus', as someone would use it without this plane. */
export interface BareKind {
  readonly name: string;
  readonly type: string;
  readonly build: Readonly<Record<string, number>>;
  readonly steps: readonly Step[];
}

const plain = (params: Step['params']): Step => ({ params, limit: TOP_K });

/** The fastest that Milvus has where memory does not matter: graph and whole vectors in memory. */
const HNSW: BareKind = {
  name: 'HNSW',
  type: 'HNSW',
  build: { M: 16, efConstruction: 200 },
  steps: [10, 16, 24, 32, 48, 64, 96, 128, 192, 256, 512].map((ef) => plain({ ef })),
};

/** The same index as the service's. Its own order is rough: recall comes from ranking again. */
const IVF_PQ: BareKind = {
  name: 'IVF_PQ, ranked again',
  type: 'IVF_PQ',
  build: { nlist: 128, m: 96, nbits: 8 },
  steps: [
    plain({ nprobe: 24 }),
    plain({ nprobe: 128 }),
    ...[24, 48, 64].map((limit) => ({ params: { nprobe: 24 }, limit })),
    ...[24, 32, 48, 64, 96].map((limit) => ({ params: { nprobe: 48 }, limit })),
    ...[24, 32, 48, 64, 96, 128, 256].map((limit) => ({ params: { nprobe: 128 }, limit })),
  ],
};

export const BARE_KINDS: readonly BareKind[] = [HNSW, IVF_PQ];

const INSERT_ROWS = 1_000;
const TIMEOUT_MS = 600_000;
const POLL_MS = 500;

/** A collection of key, `n` and vector, one for each kind of index. */
export class BareMilvus {
  readonly #client: MilvusClient;
  readonly #dimensions: number;

  private constructor(client: MilvusClient, dimensions: number) {
    this.#client = client;
    this.#dimensions = dimensions;
  }

  static async open(address: string, dimensions: number): Promise<BareMilvus> {
    const client = new MilvusClient({ address, timeout: TIMEOUT_MS, logLevel: 'error' });
    await client.connectPromise;
    return new BareMilvus(client, dimensions);
  }

  async close(): Promise<void> {
    await this.#client.closeConnection();
  }

  /** Fills the collection of a kind with the vectors of the benchmarks, and builds its index. */
  async fill({ type, build }: BareKind, rows: number): Promise<void> {
    const collection_name = nameOf(type);
    await this.#client.createCollection({
      collection_name,
      fields: [
        { name: 'id', data_type: DataType.Int64, is_primary_key: true },
        { name: 'n', data_type: DataType.Int64 },
        { name: 'vector', data_type: DataType.FloatVector, dim: this.#dimensions },
      ],
      shards_num: 1,
      consistency_level: 'Eventually',
    });
    const source = clusteredVectors({ seed: SEEDS.vectors, dimensions: this.#dimensions });
    const vector = new Float32Array(this.#dimensions);
    for (let at = 0; at < rows; at += INSERT_ROWS) {
      const data = Array.from({ length: Math.min(INSERT_ROWS, rows - at) }, (_, i) => {
        source.next(vector);
        return { id: at + i, n: (at + i) % CLASSES, vector: Array.from(vector) };
      });
      const { status } = await this.#client.insert({ collection_name, data });
      if (status.code !== 0) throw new Error(`insert: ${status.reason}`);
    }
    await this.#client.flushSync({ collection_names: [collection_name] });
    await this.#client.createIndex([
      { collection_name, field_name: 'n', index_name: 'n_index', index_type: 'STL_SORT' },
      {
        ...{ collection_name, field_name: 'vector', index_name: 'vector_index' },
        ...{ index_type: type, metric_type: 'IP', params: { ...build } },
      },
    ]);
    await this.untilIndexed(collection_name, rows);
    await this.#client.loadCollectionSync({ collection_name, timeout: TIMEOUT_MS });
  }

  /** Waits until the index of vectors has all rows that are in storage, and compaction rests. */
  async untilIndexed(collection_name: string, rows: number): Promise<void> {
    const deadline = performance.now() + TIMEOUT_MS;
    for (let calm = 0; calm < 3; ) {
      const found = await this.#client.getIndexBuildProgress({
        collection_name,
        index_name: 'vector_index',
      });
      const isDone = found.indexed_rows === found.total_rows && Number(found.total_rows) >= rows;
      calm = isDone ? calm + 1 : 0;
      if (performance.now() > deadline) {
        throw new Error(`${found.indexed_rows} of ${found.total_rows} rows are indexed`);
      }
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  }

  /** The keys of the nearest rows whose `n` is less than the limit. */
  async search(
    { type }: BareKind,
    { params, limit }: Step,
    query: Float32Array,
    below: number,
  ): Promise<number[]> {
    const isRanked = limit > TOP_K;
    const found = await this.#client.search({
      collection_name: nameOf(type),
      data: Array.from(query),
      limit,
      params: { ...params },
      output_fields: isRanked ? ['id', 'vector'] : ['id'],
      consistency_level: ConsistencyLevelEnum.Eventually,
      ...(below < CLASSES ? { expr: `n < ${below}` } : {}),
    });
    if (found.status.code !== 0) throw new Error(`search: ${found.status.reason}`);
    const rows = found.results.map((row) => ({
      id: Number(row['id']),
      score: isRanked ? dot(row['vector'] as unknown as number[], query) : row.score,
    }));
    if (isRanked) rows.sort((a, b) => b.score - a.score);
    return rows.slice(0, TOP_K).map(({ id }) => id);
  }
}

function nameOf(type: string): string {
  return `bare_${type.toLowerCase()}`;
}

function dot(a: ArrayLike<number>, b: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < b.length; i++) sum += a[i]! * b[i]!;
  return sum;
}
