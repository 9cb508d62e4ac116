import assert from 'node:assert/strict';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { S3BlobStore } from '@memplane/blob-store/s3';
import { S3Server } from '@memplane/blob-store/s3/testing';
import {
  expectStatus,
  Plane,
  planeDigests,
  portsInRow,
  runCommand,
  ScratchFolder,
} from '@memplane/testkit';

// A real S3 server, a real plane.
let server: S3Server;
before(async () => {
  server = await S3Server.start();
});
after(() => server.stop());

test('a backup in S3 is restored, and one in which a byte is other is not', async () => {
  using folder = new ScratchFolder('backup-s3');
  const bucket = await server.makeBucket();
  const place = `s3://${bucket.bucket}/planes/first`;
  const env = {
    MEMPLANE_S3_ENDPOINT: bucket.endpoint ?? '',
    AWS_ACCESS_KEY_ID: bucket.accessKey,
    AWS_SECRET_ACCESS_KEY: bucket.secretKey,
  };
  const ports = await portsInRow();
  const plane = await Plane.start({ dataDir: path.join(folder.path, 'data'), ports });
  await using _plane = plane;
  for (let n = 0; n < 40; n++) {
    const body = Array.from({ length: 200 }, (_, i) => ({
      ...{ id: `e${n}`, type: 'Said', entity: `user/${i}` },
      attributes: { n, text: `${i} `.repeat(200) },
    }));
    await expectStatus(201, 'POST', `${plane.ingest}/v1/events`, { body });
  }
  const { views } = await planeDigests(plane);
  const made = await runCommand(['backup', '--to', place, '--json'], { url: plane.ingest, env });
  assert.equal(made.code, 0, made.stderr);
  await plane.stop();

  const store = await S3BlobStore.open(bucket);
  const names: string[] = [];
  for await (const { name } of store.list('')) names.push(name);
  assert.ok(names.every((name) => name.startsWith('planes/first/')));
  const part = names.find((name) => name.endsWith('.snapshot')) ?? '';
  const whole = await store.get(part);
  const flipped = Buffer.from(whole);
  flipped.writeUInt8(flipped.readUInt8(100) ^ 1, 100);
  await store.put(part, flipped);
  const bad = await runCommand(['restore', '--from', place, '--check'], { env });
  assert.equal(bad.code, 1);
  assert.ok(bad.stderr.includes(part.slice('planes/first/'.length)), bad.stderr);
  await store.put(part, whole);
  store.close();

  const dataDir = path.join(folder.path, 'new');
  const restored = await runCommand(['restore', '--from', place, '--data-dir', dataDir], { env });
  assert.equal(restored.code, 0, restored.stderr);
  await using again = await Plane.start({ dataDir });
  const digests = await planeDigests(again);
  assert.equal((digests.views as Digest).digest, (views as Digest).digest);
  const keyless = await runCommand(['restore', '--from', place, '--check']);
  assert.equal(keyless.code, 2);
  assert.match(keyless.stderr, /AWS_ACCESS_KEY_ID/);
});

interface Digest {
  readonly digest: string;
}
