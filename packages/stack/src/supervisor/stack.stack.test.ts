import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { readRecord, startTicksOf } from './record.ts';
import { secretsFile, stackSecrets } from './secrets.ts';
import { stackStatus } from './status.ts';
import { stackDown, stackUp } from './up.ts';

const root = mkdtempSync(join(tmpdir(), 'memplane-up-'));
const settings = { dir: join(root, 'one'), portBase: 16_200 };
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
  const parts = ['kafka', 'redis', 'etcd', 'versitygw', 'milvus', 'sentry', 'agent-dapr'];
  assert.deepEqual([...first.keys()], parts);
  for (const row of await stackStatus(settings)) assert.equal(row.health, 'ok', row.part);

  await stackUp(settings, say);
  assert.match(lines.at(-1) ?? '', /up already/);
  assert.deepEqual(pids(), first);

  const other = { ...settings, dir: join(root, 'other') };
  await assert.rejects(stackUp(other, say), /port 16292, 16293 \(kafka\).*Nothing was started/);
  assert.deepEqual(readRecord(other.dir), []);
  await stackDown(other, false, say);
  for (const row of await stackStatus(settings)) assert.equal(row.health, 'ok', row.part);

  const secrets = [
    ...Object.values(stackSecrets(settings.dir).apiTokens),
    ...Object.values(secretsFile(settings.dir).values).filter((value) => value !== 'memplane'),
  ];
  const processes = execFileSync('ps', ['-eo', 'args', '-ww'], { encoding: 'utf8' });
  for (const secret of secrets) assert.ok(!processes.includes(secret), 'ps shows a secret');

  process.kill(first.get('redis') ?? 0, 'SIGKILL');
  const gone = (await stackStatus(settings)).find((row) => row.part === 'redis');
  assert.equal(gone?.health, 'gone');
  await stackUp(settings, say);
  const again = pids();
  assert.notEqual(again.get('redis'), first.get('redis'));
  for (const part of parts) {
    if (part !== 'redis') assert.equal(again.get(part), first.get(part), part);
  }

  await stackDown(settings, false, say);
  assert.deepEqual(readRecord(settings.dir), []);
  assert.ok(existsSync(join(settings.dir, 'kafka', 'data')));
  for (const pid of again.values()) assert.equal(startTicksOf(pid), undefined);
});
