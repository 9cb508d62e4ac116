import assert from 'node:assert/strict';
import { createHash, randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { S3BlobStore } from '@memplane/blob-store/s3';
import { firstHlcOf } from '@memplane/clock';
import { partitionOf } from '@memplane/event-log';
import { openKafkaAdmin, openKafkaLog, openKafkaReader } from '@memplane/event-log/kafka';
import { ServerProcess, startKafka, versitygwPlan } from '@memplane/stack';
import { call } from '@memplane/testkit';
import { readMaterializerConfig } from './config.ts';
import { createMaterializer } from './service.ts';
import { cloudEvent } from './testing.ts';
import { until } from './testing-instances.ts';

const PARTITIONS = 3;
const EVENTS = 600;
const ACCESS = { accessKey: 'archive-key', secretKey: 'archive-secret' };

test('on Kafka and S3 the log forgets what is archived, and views come back equal from nothing', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'memplane-archive-'));
  const closers: (() => Promise<unknown>)[] = [];
  t.after(async () => {
    for (const close of closers.toReversed()) await close();
    rmSync(dir, { recursive: true, force: true });
  });
  const { server: broker, plan: kafka } = await startKafka({ dir: join(dir, 'kafka') });
  closers.push(() => broker.kill());
  const s3Plan = await versitygwPlan({ dir: join(dir, 's3'), ...ACCESS, buckets: ['archive'] });
  const s3 = await ServerProcess.start(s3Plan);
  closers.push(() => s3.kill());
  const options = {
    brokers: kafka.brokers,
    topic: `events-${randomUUID()}`,
    partitionsInitial: PARTITIONS,
    create: { partitions: PARTITIONS, replicas: 1 },
  };
  const { writer } = await openKafkaLog(options);
  closers.push(() => writer.close());
  const startMs = Date.now() - 60_000;
  const append = async (from: number, to: number) => {
    for (let n = from; n < to; n++) {
      const entity = `user/${n % 20}`;
      const data = {
        attributes: { n, [`k${n % 7}`]: `v${n}` },
        memory: { id: `m${n % 3}`, text: `t${n}` },
      };
      const hlc = firstHlcOf(startMs + n);
      const value = Buffer.from(JSON.stringify(cloudEvent({ id: `e${n}`, entity, hlc, data })));
      const idDigest = createHash('sha256').update(`e${n}`).digest().subarray(0, 16);
      const partition = partitionOf(entity, PARTITIONS);
      await writer.append([
        { partition, key: entity, value, hlc, idDigest, contentDigest: idDigest },
      ]);
    }
  };
  const blobs = await S3BlobStore.open({
    endpoint: `http://127.0.0.1:${s3Plan.port}`,
    bucket: 'archive',
    ...ACCESS,
  });
  closers.push(async () => blobs.close());

  /** A materializer with an empty folder; what it restores from is the storage and the log. */
  const open = async (name: string) => {
    const config = readMaterializerConfig({
      MEMPLANE_MATERIALIZER_PORT: '0',
      MEMPLANE_MATERIALIZER_DIR: join(dir, name),
      MEMPLANE_LOG_LEVEL: 'fatal',
      MEMPLANE_COUNTER_PUBLISHING: 'false',
      MEMPLANE_ARCHIVE_SEGMENT_BYTES: '8192',
      MEMPLANE_ARCHIVE_INTERVAL_MS: '200',
      MEMPLANE_ARCHIVE_TICK_MS: '50',
      MEMPLANE_LOG_RETENTION_MS: '1000',
      MEMPLANE_SHARD_SNAPSHOT_EVENTS_MIN: '20',
      MEMPLANE_SHARD_SNAPSHOT_INTERVAL_MS: '200',
    });
    const logReader = await openKafkaReader(options);
    const admin = await openKafkaAdmin(options);
    const context = { logReader, logAdmin: admin, blobStore: blobs };
    const service = await createMaterializer(config, context);
    await service.start();
    const url = `http://127.0.0.1:${service.port}`;
    const close = async () => {
      await service.stop();
      await admin.close();
      await logReader.close();
    };
    return { url, close, logReader };
  };
  const digestOf = async (url: string) => {
    await until('all is applied', async () => {
      const { body } = await call<{ shards: { lag: number }[] }>('GET', `${url}/v1/shards`);
      return body.shards.length === PARTITIONS && body.shards.every(({ lag }) => lag === 0);
    });
    const { body } = await call<{ digest: string }>('GET', `${url}/v1/digest`);
    return body.digest;
  };

  const first = await open('first');
  await append(0, EVENTS / 2);
  // The storage goes away in the middle of it, and comes back.
  await s3.kill();
  await append(EVENTS / 2, EVENTS);
  const ready = await call<{ archiveLagBytes: number }>('GET', `${first.url}/readyz`);
  assert.equal(ready.status, 200);
  await s3.start();
  await until('the log has let go of what is archived', async () => {
    for (let partition = 0; partition < PARTITIONS; partition++) {
      const { start, end } = await first.logReader.bounds(partition);
      if (start < end * 0.9) return false;
    }
    return true;
  });
  const lagOf = async () =>
    (await call<{ archiveLagBytes: number }>('GET', `${first.url}/readyz`)).body.archiveLagBytes;
  await until('the archive has all', async () => (await lagOf()) === 0);
  const metrics = (await call('GET', `${first.url}/metrics`)).text;
  assert.match(metrics, /memplane_archive_lag/);
  const digest = await digestOf(first.url);
  await first.close();

  // From snapshots, then what came after.
  const second = await open('second');
  assert.equal(await digestOf(second.url), digest);
  const { body } = await call<{ sequence: number }>('GET', `${second.url}/v1/entities/user/7`);
  assert.equal(body.sequence, EVENTS / 20);
  const past = await call<{ attributes: { n: number } }>(
    'GET',
    `${second.url}/v1/entities/user/7?asOf=event:e27`,
  );
  assert.equal(past.body.attributes.n, 27);
  await second.close();

  // Without any snapshot: from the archive, then the log.
  const snapshots: string[] = [];
  for await (const { name } of blobs.list('snapshots/')) snapshots.push(name);
  assert.ok(snapshots.length >= PARTITIONS);
  for (const name of snapshots) await blobs.delete(name);
  const third = await open('third');
  assert.equal(await digestOf(third.url), digest);
  await third.close();
});
