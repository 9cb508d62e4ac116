import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { end } from './detached.ts';
import {
  isAlive,
  type RunningServer,
  readRecord,
  startTicksIn,
  startTicksOf,
  writeRecord,
} from './record.ts';
import { secretsFile, stackSecrets } from './secrets.ts';
import { stackSettings } from './settings.ts';
import { statusTable } from './status.ts';

function sleeper(): RunningServer {
  const child = spawn('sleep', ['600'], { stdio: 'ignore' });
  const pid = child.pid ?? -1;
  const startTicks = startTicksOf(pid) ?? -1;
  return {
    ...{ name: 'sleeper', version: '1', tier: 'server' as const, pid, startTicks },
    ...{ ports: [1], logFile: '/dev/null', stopTimeoutMs: 5_000 },
  };
}

function folder(t: { after: (work: () => void) => void }): string {
  const dir = mkdtempSync(join(tmpdir(), 'memplane-record-'));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

test('a process is known by its pid and its start: another with its pid is left alone', async () => {
  const server = sleeper();
  assert.ok(isAlive(server));
  const other = { ...server, startTicks: server.startTicks - 1 };
  assert.equal(isAlive(other), false);
  assert.equal(await end(other), 'was gone');
  assert.ok(isAlive(server));
  assert.equal(await end(server), 'ended');
  assert.equal(await end(server), 'was gone');
});

test('a process is gone with its last thread, not with its first', () => {
  const stat = (state: string, threads: number) =>
    `7 (a (b) c) ${state} 1 7 7 0 -1 4 0 0 0 0 0 0 0 0 20 0 ${threads} 0 4711 0 0`;
  assert.equal(startTicksIn(stat('S', 12)), 4711);
  assert.equal(startTicksIn(stat('Z', 3)), 4711);
  assert.equal(startTicksIn(stat('Z', 1)), undefined);
  assert.equal(startTicksIn(stat('X', 1)), undefined);
});

test('a paused process is ended too', async () => {
  const server = sleeper();
  process.kill(server.pid, 'SIGSTOP');
  assert.equal(await end(server), 'ended');
});

test('the record is kept whole, and one of another format is refused', (t) => {
  const dir = folder(t);
  assert.deepEqual(readRecord(dir), []);
  const server = { ...sleeper(), name: 'a' };
  writeRecord(dir, [server]);
  assert.deepEqual(readRecord(dir), [server]);
  process.kill(server.pid, 'SIGKILL');
  writeRecord(dir, []);
  assert.deepEqual(readRecord(dir), []);
  writeFileSync(join(dir, 'running.json'), '{"formatVersion":2,"servers":[]}');
  assert.throws(() => readRecord(dir), /format 2, not 1/);
});

test('secrets are made once, each its own, readable by their owner alone', (t) => {
  const dir = folder(t);
  const tokens = stackSecrets(dir);
  assert.deepEqual(stackSecrets(dir), tokens);
  const all = [...Object.values(tokens.apiTokens), ...Object.values(tokens.appTokens)];
  assert.equal(new Set(all).size, 10);
  const { path, values } = secretsFile(dir);
  assert.ok(values['redis-password'].length >= 32);
  for (const file of [path, join(dir, 'tokens.json')]) assert.equal(statSync(file).mode & 0o77, 0);
});

test('settings come from the environment, and a wrong port is refused', () => {
  assert.equal(stackSettings({ MEMPLANE_STACK_DIR: '/d' }).portBase, 7200);
  assert.deepEqual(stackSettings({ MEMPLANE_STACK_DIR: '/d', MEMPLANE_STACK_PORT_BASE: '8000' }), {
    dir: '/d',
    portBase: 8000,
  });
  for (const port of ['80', '65500', 'x', '7200.5']) {
    assert.throws(() => stackSettings({ MEMPLANE_STACK_PORT_BASE: port }), /must be a port/);
  }
});

test('the status is a table', () => {
  const row = { part: 'kafka', pid: 7, ports: [7292, 7293], version: '4.1.0', memoryMib: 300 };
  assert.equal(
    statusTable([{ ...row, health: 'ok' }]),
    'PART   PID  PORT  HEALTH  VERSION  MEMORY\nkafka  7    7292  ok      4.1.0    300 MiB',
  );
});
