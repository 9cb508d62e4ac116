/**
 * Reading one's own write by search: an append and then a search with its token, both through the
 * sidecars of an agent and of the service, against the same in Milvus alone: an insert into a
 * collection of the same kind with as many rows, and then a search at consistency level Strong. One
 * caller, interleaved; times count from the sending of the write to the answer that shows it.
 *
 *     node benchmarks/read-your-writes-stack.ts [rounds] [writes per run] [memories there before]
 */
import {
  type AppendAnswer,
  clusteredVectors,
  nextAsBase64,
  percentile,
  range,
  type SearchAnswer,
} from '@memplane/testkit';
import { ConsistencyLevelEnum, MilvusClient } from '@zilliz/milvus2-sdk-node';
import { readVectorIndexConfig } from '../services/vector-index/src/config.ts';
import { MilvusLink } from '../services/vector-index/src/drivers/milvus/link.ts';
import type { StackPlane } from '../tests/stack/stack-plane.ts';
import { patiently, untilApplied } from './lib/plane.ts';
import { interleave, ratio } from './lib/rounds.ts';
import { atMost, emitRow, SHORT } from './lib/row.ts';
import { directTo, withStack } from './lib/stack.ts';

const [ROUNDS = SHORT ? 1 : 5, WRITES = SHORT ? 20 : 100, BEFORE = SHORT ? 500 : 5_000] =
  process.argv.slice(2).map(Number);
const BATCH = 100;
const SEED = 71;
const COLLECTION = 'strong_rows';
/** Its quantized vectors rank roughly: its own row need not be first, as ours has to be, nor there. */
const FOUND_AMONG = 64;
/** What Strong does not show at once is asked for again, as a caller would. */
const ASKED_MAX = 100;

const vectors = clusteredVectors({ seed: SEED });
let memories = 0;

function nextMemory() {
  const n = memories++;
  const values = nextAsBase64(vectors);
  return { n, id: `m${n}`, text: `memory number ${n}`, embedding: { model: 'bench', values } };
}

function eventOf({ n, ...memory }: ReturnType<typeof nextMemory>) {
  return { id: `e${n}`, type: 'Noted', entity: `user/${n % 500}`, memory };
}

/** The row that vector-index would write. */
function rowOf({ n, id, text, embedding }: ReturnType<typeof nextMemory>) {
  const bytes = Buffer.from(embedding.values, 'base64');
  const vector = Array.from({ length: bytes.length / 4 }, (_, i) => bytes.readFloatLE(i * 4));
  return {
    ...{ position: `${n}`, entity_key: `user/${n % 500}`, tenant: 'default', memory_id: id },
    ...{ event_id: `e${n}`, partition: '0', offset: `${n}`, turn: false, text },
    ...{ metadata: {}, tags: [], vector },
  };
}

async function fillPlane(plane: StackPlane): Promise<void> {
  const [ingest] = directTo(plane, 'event-ingest');
  for (const _ of range(BEFORE / BATCH)) {
    const body = Array.from(range(BATCH), () => eventOf(nextMemory()));
    await patiently(201, 'POST', `${ingest?.url}/v1/events`, { body });
  }
  const [materializer] = directTo(plane, 'materializer');
  for (const { url } of directTo(plane, 'vector-index')) {
    await untilApplied({ materializer: materializer?.url ?? '', vectors: url });
  }
}

async function onPlane(plane: StackPlane): Promise<number> {
  const memory = nextMemory();
  const started = performance.now();
  const url = `${plane.ingest}/v1/events`;
  const body = eventOf(memory);
  const { token } = await patiently<AppendAnswer>(201, 'POST', url, { body });
  const question = { vector: memory.embedding.values, topK: 1, after: token, waitMs: 30_000 };
  const { results } = await patiently<SearchAnswer>(200, 'POST', `${plane.vectors}/v1/search`, {
    body: question,
  });
  const took = performance.now() - started;
  if (results[0]?.memoryId !== memory.id) throw new Error(`a search does not find ${memory.id}`);
  return took;
}

/** A collection with the fields and indexes of the driver's own, filled. */
async function fillMilvus(address: string): Promise<void> {
  const config = readVectorIndexConfig({ MEMPLANE_MILVUS_ADDRESS: address });
  const link = await MilvusLink.open({
    ...config,
    address,
    token: undefined,
    alias: 'strong',
    callTimeoutMs: config.milvusCallTimeoutMs,
    searchTimeoutMs: config.milvusSearchTimeoutMs,
    loadTimeoutMs: config.milvusLoadTimeoutMs,
  });
  await link.ensureRows(COLLECTION, vectors.dimensions);
  for (const _ of range(BEFORE / BATCH)) {
    await link.upsert(
      COLLECTION,
      Array.from(range(BATCH), () => rowOf(nextMemory())),
    );
  }
  await link.makeSearchable(COLLECTION);
  await link.close();
}

/** Whether a search hid the row in its rough ranking alone. */
async function isThere(client: MilvusClient, position: string): Promise<boolean> {
  const { data } = await client.query({
    collection_name: COLLECTION,
    expr: `position == ${position}`,
    output_fields: ['position'],
    consistency_level: ConsistencyLevelEnum.Strong,
  });
  return data.length > 0;
}

async function onMilvus(client: MilvusClient, ivf_probes: number): Promise<number> {
  const row = rowOf(nextMemory());
  const started = performance.now();
  const { status } = await client.insert({ collection_name: COLLECTION, data: [row] });
  if (status.code !== 0) throw new Error(`Milvus: ${status.reason}`);
  for (let asked = 1; ; asked++) {
    const { results } = await client.search({
      collection_name: COLLECTION,
      data: row.vector,
      limit: FOUND_AMONG,
      output_fields: ['position'],
      params: { nprobe: ivf_probes },
      consistency_level: ConsistencyLevelEnum.Strong,
    });
    const took = performance.now() - started;
    if (results.some(({ position }) => String(position) === row.position)) return took;
    if (await isThere(client, row.position)) return took;
    if (asked === ASKED_MAX) throw new Error(`Milvus does not find ${row.position}`);
  }
}

async function p99Of(once: () => Promise<number>): Promise<number> {
  const times: number[] = [];
  for (const _ of range(WRITES)) times.push(await once());
  const [p50, p99] = [percentile(times, 0.5), percentile(times, 0.99)];
  console.log(`  p50 ${p50.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms`);
  return p99;
}

await withStack('own-writes', async (plane) => {
  const address = plane.plans.exports['MEMPLANE_MILVUS_ADDRESS'] ?? '';
  await fillPlane(plane);
  await fillMilvus(address);
  const client = new MilvusClient({ address, logLevel: 'error' });
  await client.connectPromise;
  const { ivf_probes } = readVectorIndexConfig({ MEMPLANE_MILVUS_ADDRESS: address });
  const [ours, strong] = await interleave(
    [
      { name: 'append, search with the token', run: () => p99Of(() => onPlane(plane)) },
      {
        name: 'Milvus: insert, search at Strong',
        run: () => p99Of(() => onMilvus(client, ivf_probes)),
      },
    ],
    ROUNDS,
  );
  await client.closeConnection();
  if (ours === undefined || strong === undefined) return;
  const times = ratio('', ours, strong);
  const ms = `${ours.median.toFixed(0)} ms against ${strong.median.toFixed(0)} ms`;
  console.log(`p99 ${ms}: ${times.median.toFixed(3)} (goal ≤ 0.25)`);
  emitRow('read your writes by search, p99', atMost(0.25), times, {
    against: strong.name,
    seeds: `vectors ${SEED}`,
    note: `p99 ${ms}; ${BEFORE} memories there before; ours through two sidecars twice`,
  });
});
