import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  type AppendAnswer,
  expectStatus,
  Plane,
  type PlaneOptions,
  planeDigests,
  planePorts,
  readEntity,
  ScratchFolder,
} from '@memplane/testkit';

test('a second plane on the same folder, or the same port, says so and ends', async () => {
  using folder = new ScratchFolder('first');
  using otherFolder = new ScratchFolder('second');
  await using first = await Plane.start({ dataDir: folder.path });
  await append(first, 1);
  const before = await planeDigests(first);

  const sameFolder = await ended({ dataDir: folder.path });
  assert.notEqual(sameFolder.code, 0);
  assert.match(sameFolder.log, /another plane|in use|lock/i);
  assert.ok(sameFolder.log.includes(folder.path), `names the folder: ${sameFolder.log}`);

  for (const service of [
    'event-ingest',
    'materializer',
    'crdt-sync',
    'vector-index',
    'resp',
  ] as const) {
    const ports = { ...(await planePorts()), [service]: first.ports[service] };
    const samePort = await ended({ dataDir: otherFolder.path, ports });
    assert.notEqual(samePort.code, 0, `${service}: ${samePort.log}`);
    assert.ok(samePort.log.includes(String(first.ports[service])), `${service}: ${samePort.log}`);
    assert.match(samePort.log, /in use/i, service);
    assert.ok(samePort.seconds < 15, `${service}: ended after ${samePort.seconds} s`);
  }

  assert.equal(first.exit, undefined);
  assert.deepEqual(await planeDigests(first), before);
  await append(first, 2);
  assert.deepEqual((await readEntity(first.materializer, 'first/1')).attributes, { n: 2 });

  // The lock goes with its holder, however that ends.
  await first.kill();
  await using next = await first.again();
  assert.deepEqual((await readEntity(next.materializer, 'first/1')).attributes, { n: 2 });
});

test('another address than loopback without a token is refused at start', async () => {
  using folder = new ScratchFolder('address');
  const open = await ended({ dataDir: folder.path, env: { MEMPLANE_HOST: '0.0.0.0' } });
  assert.notEqual(open.code, 0);
  assert.match(open.log, /MEMPLANE_TOKEN/);
});

async function append(plane: Plane, n: number): Promise<void> {
  const body = { type: 'Said', entity: 'first/1', attributes: { n } };
  const url = `${plane.ingest}/v1/events`;
  const { token } = await expectStatus<AppendAnswer>(201, 'POST', url, { body });
  await readEntity(plane.materializer, 'first/1', { after: token });
}

async function ended(options: PlaneOptions): Promise<{
  code: number | null;
  log: string;
  seconds: number;
}> {
  const started = performance.now();
  await using plane = await Plane.launch(options);
  const timer = setTimeout(() => void plane.kill(), 20_000);
  const { code } = await plane.ended();
  clearTimeout(timer);
  return { code, log: plane.logTail(), seconds: (performance.now() - started) / 1_000 };
}
