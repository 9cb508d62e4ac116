import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { freePortBase } from '@memplane/testkit/ports';
import { readRecord, startTicksOf } from './record.ts';
import { secretsFile, stackSecrets } from './secrets.ts';
import { stackStatus } from './status.ts';
import { stackDown, stackUp } from './up.ts';

const root = mkdtempSync(join(tmpdir(), 'memplane-up-'));
const settings = { dir: join(root, 'one'), portBase: await freePortBase() };
const lines: string[] = [];
const say = (line: string) => lines.push(line);
const pids = () => new Map(readRecord(settings.dir).map((server) => [server.name, server.pid]));
after(async () => {
  await stackDown(settings, true, say);
  rmSync(root, { recursive: true, force: true });
});

test('up, up twice, over ports in use, after a crash, down', async (t) => {
  const begin = performance.now();
  await stackUp(settings, say);
  t.diagnostic(`up after ${Math.round(performance.now() - begin)} ms`);
  const first = pids();
  const ofReplicas = ['crdt-sync-1-redis', 'crdt-sync-2-redis'];
  const servers = ['kafka', 'redis', ...ofReplicas, 'etcd', 'versitygw', 'milvus', 'sentry'];
  const services = ['event-ingest', 'materializer', 'crdt-sync', 'vector-index'];
  const instances = services.flatMap((name) => [`${name}-1`, `${name}-2`]);
  const parts = [...servers, ...instances.flatMap((name) => [name, `${name}-dapr`]), 'agent-dapr'];
  assert.deepEqual([...first.keys()], parts);
  for (const row of await stackStatus(settings)) assert.equal(row.health, 'ok', row.part);

  await stackUp(settings, say);
  assert.match(lines.at(-1) ?? '', /up already/);
  assert.deepEqual(pids(), first);

  const other = { ...settings, dir: join(root, 'other') };
  const ofKafka = [92, 93].map((offset) => settings.portBase + offset).join(', ');
  const refused = new RegExp(`port ${ofKafka} \\(kafka\\).*Nothing was started`);
  await assert.rejects(stackUp(other, say), refused);
  assert.deepEqual(readRecord(other.dir), []);
  await stackDown(other, false, say);
  for (const row of await stackStatus(settings)) assert.equal(row.health, 'ok', row.part);

  const secrets = [
    ...Object.values(stackSecrets(settings.dir).apiTokens),
    ...Object.values(secretsFile(settings.dir).values).filter((value) => value !== 'memplane'),
  ];
  const processes = execFileSync('ps', ['-eo', 'args', '-ww'], { encoding: 'utf8' });
  for (const secret of secrets) assert.ok(!processes.includes(secret), 'ps shows a secret');

  const victims = ['crdt-sync-1-redis', 'materializer-1'];
  for (const part of victims) process.kill(first.get(part) ?? 0, 'SIGKILL');
  const gone = (await stackStatus(settings)).filter((row) => row.health === 'gone');
  assert.deepEqual(
    gone.map((row) => row.part),
    victims,
  );
  await stackUp(settings, say);
  const again = pids();
  for (const part of parts) {
    const isSame = again.get(part) === first.get(part);
    assert.equal(isSame, !victims.includes(part), part);
  }

  await stackDown(settings, false, say);
  assert.deepEqual(readRecord(settings.dir), []);
  assert.ok(existsSync(join(settings.dir, 'kafka', 'data')));
  for (const pid of again.values()) assert.equal(startTicksOf(pid), undefined);
});
