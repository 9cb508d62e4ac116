// The materializer's side of benchmarks/consume.ts, in a process of its own: follows a log on Kafka
// into an empty store, and says how long that took and how much CPU, native threads included. With a
// folder of blobs it begins with the snapshots in there.
import { FileBlobStore } from '@memplane/blob-store';
import { openKafkaReader } from '@memplane/event-log/kafka';
import { readMaterializerConfig } from '../../services/materializer/src/config.ts';
import { createMaterializer } from '../../services/materializer/src/service.ts';

const [brokers = '', topic = '', dir = '', events = '0', partitions = '12', blobs = ''] =
  process.argv.slice(2);
const logReader = await openKafkaReader({
  brokers: brokers.split(','),
  topic,
  partitionsInitial: Number(partitions),
});
const config = readMaterializerConfig({
  MEMPLANE_MATERIALIZER_PORT: '0',
  MEMPLANE_MATERIALIZER_DIR: dir,
  MEMPLANE_COUNTER_PUBLISHING: 'false',
  MEMPLANE_LOG_LEVEL: 'error',
});
const blobStore = blobs === '' ? undefined : await FileBlobStore.open(blobs);
const context = { logReader, ...(blobStore === undefined ? {} : { blobStore }) };
const service = await createMaterializer(config, context);
const started = performance.now();
const cpu = process.cpuUsage();
await service.start();
const url = `http://127.0.0.1:${service.port}/v1/shards`;
for (;;) {
  const body = (await (await fetch(url)).json()) as { shards: { eventsTotal: number }[] };
  const applied = body.shards.reduce((sum, shard) => sum + shard.eventsTotal, 0);
  if (applied >= Number(events)) break;
  await new Promise((resolve) => setTimeout(resolve, 50));
}
const wallMs = Math.round(performance.now() - started);
const { user, system } = process.cpuUsage(cpu);
const cpuMs = Math.round((user + system) / 1000);
console.log(`{"events":${events},"wallMs":${wallMs},"cpuMs":${cpuMs}}`);
await service.stop();
await logReader.close();
