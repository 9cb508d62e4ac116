/**
 * A node that has nothing: from the newest snapshots of its shards, against replaying the same events
 * from the log on Kafka. Interleaved rounds, each in a process of its own with an empty store, counted
 * from its start until everything is applied.
 *
 *     node benchmarks/cold-node.ts [events] [entities] [rounds]
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type BlobStore, FileBlobStore } from '@memplane/blob-store';
import { openKafkaReader } from '@memplane/event-log/kafka';
import { startKafka } from '@memplane/stack';
import { readMaterializerConfig } from '../services/materializer/src/config.ts';
import { ShardSnapshots } from '../services/materializer/src/drivers/shard-snapshots.ts';
import { createMaterializer } from '../services/materializer/src/service.ts';
import { fillKafkaLog } from './lib/kafka-log.ts';
import { runConsumer } from './lib/kafka-streams.ts';
import { interleave, ratio, summarize } from './lib/rounds.ts';
import { atLeast, emitRow, SHORT } from './lib/row.ts';

const [EVENTS = SHORT ? 20_000 : 1_000_000, ENTITIES = 20_000, ROUNDS = SHORT ? 1 : 3] =
  process.argv.slice(2).map(Number);
const PARTITIONS = 12;
const TOPIC = 'replayed';
const PUBLISH_TIMEOUT_MS = 20 * 60_000;
const child = fileURLToPath(new URL('./lib/consume-child.ts', import.meta.url));
const dir = mkdtempSync(join(tmpdir(), 'memplane-cold-'));
const { server, plan } = await startKafka({ dir: join(dir, 'kafka') });
const blobs = join(dir, 'blobs');
let runs = 0;

/** Applies all once, and waits until every shard has published a snapshot of its end. */
async function publishSnapshots(blobStore: BlobStore): Promise<void> {
  const logReader = await openKafkaReader({
    brokers: plan.brokers,
    topic: TOPIC,
    partitionsInitial: PARTITIONS,
  });
  const config = readMaterializerConfig({
    MEMPLANE_MATERIALIZER_PORT: '0',
    MEMPLANE_MATERIALIZER_DIR: join(dir, 'first'),
    MEMPLANE_COUNTER_PUBLISHING: 'false',
    MEMPLANE_LOG_LEVEL: 'error',
    MEMPLANE_SHARD_SNAPSHOT_EVENTS_MIN: '1',
    MEMPLANE_SHARD_SNAPSHOT_INTERVAL_MS: '10000',
  });
  const service = await createMaterializer(config, { logReader, blobStore });
  await service.start();
  const snapshots = new ShardSnapshots(blobStore, logReader);
  const deadline = performance.now() + PUBLISH_TIMEOUT_MS;
  for (let partition = 0; partition < PARTITIONS; ) {
    const { end } = await logReader.bounds(partition);
    if ((await snapshots.newestOffset(partition)) === end - 1) partition++;
    else if (performance.now() > deadline) throw new Error('no snapshots in time');
    else await new Promise((resolve) => setTimeout(resolve, 100));
  }
  await service.stop();
  await logReader.close();
}

/** CPU time of the node for each event, in µs, by where it begins; every round. */
const cpuMicros = new Map<string, number[]>();

function cpuOf(from: string): string {
  return summarize(from, (cpuMicros.get(from) ?? []).slice(1)).median.toFixed(1);
}

async function coldStart(from: string): Promise<number> {
  const state = join(dir, `state-${runs++}`);
  const log = [plan.brokers.join(','), TOPIC, state, `${EVENTS}`, `${PARTITIONS}`];
  const { wallMs, cpuMs } = await runConsumer(process.execPath, [child, ...log, from]);
  cpuMicros.set(from, [...(cpuMicros.get(from) ?? []), (cpuMs * 1000) / EVENTS]);
  rmSync(state, { recursive: true, force: true });
  return EVENTS / (wallMs / 1000);
}

try {
  await fillKafkaLog(plan.brokers, TOPIC, {
    events: EVENTS,
    entities: ENTITIES,
    partitions: PARTITIONS,
  });
  await publishSnapshots(await FileBlobStore.open(blobs));
  const measured = await interleave(
    [
      { name: 'from snapshots', run: () => coldStart(blobs) },
      { name: 'replay of the log', run: () => coldStart('') },
    ],
    ROUNDS,
  );
  console.table(
    measured.map(({ name, median, spread }) => ({
      what: name,
      seconds: (EVENTS / median).toFixed(2),
      'events/s': Math.round(median),
      spread: `${Math.round(spread * 100)} %`,
    })),
  );
  const [snapshots, replay] = measured;
  if (snapshots !== undefined && replay !== undefined) {
    const times = ratio('cold node', snapshots, replay);
    const note = `CPU of the node for each event: ${cpuOf(blobs)} µs against ${cpuOf('')} µs`;
    console.log(`from snapshots ${times.median.toFixed(1)} × as fast (goal ≥ 5); ${note}`);
    emitRow('cold node, from snapshots', atLeast(5), times, {
      against: `replay of the same ${EVENTS} events`,
      note,
    });
  }
} finally {
  await server.stop();
  rmSync(dir, { recursive: true, force: true });
}
