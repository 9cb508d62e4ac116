/** The RESP port shares the service's room with HTTP: what does not fit waits, or is told to come again. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { readCrdtSyncConfig } from './config.ts';
import { createCrdtSync } from './folder-replica.ts';
import type { CrdtSync } from './service.ts';

const CONNECTIONS = 30;
const COMMANDS = 10;
const ONE_AT_ONCE = { MEMPLANE_CONCURRENCY_MIN: '1', MEMPLANE_CONCURRENCY_MAX: '1' };
const PATIENT = { MEMPLANE_QUEUE_WAIT_MS: '60000' };
const BUSY = /^-BUSY .*Come again in \d+ ms\.$/;

let dir: string;
before(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'memplane-resp-'));
});
after(() => rm(dir, { recursive: true }));

async function serving(
  name: string,
  env: Readonly<Record<string, string>>,
  work: (service: CrdtSync) => Promise<void>,
): Promise<void> {
  const quiet = { MEMPLANE_LOG_LEVEL: 'silent', MEMPLANE_CRDT_SYNC_PORT: '0' };
  const config = readCrdtSyncConfig({ ...quiet, MEMPLANE_RESP_PORT: '0', ...ONE_AT_ONCE, ...env });
  const service = await createCrdtSync(config, { dir: path.join(dir, name) });
  await service.start();
  try {
    await work(service);
  } finally {
    await service.drain();
    await service.stop();
  }
}

/** Sends lines, and gives the lines of all answers. */
async function talk(service: CrdtSync, lines: readonly string[]): Promise<string[]> {
  const socket = connect(service.respPort, '127.0.0.1');
  socket.end(`${lines.join('\r\n')}\r\n`);
  let answer = '';
  for await (const chunk of socket) answer += String(chunk);
  return answer.split('\r\n').slice(0, -1);
}

const increments = Array.from({ length: COMMANDS }, () => 'CRDT.INCR n 1');

function together(service: CrdtSync): Promise<string[][]> {
  return Promise.all(
    Array.from({ length: CONNECTIONS }, () => talk(service, [...increments, 'PING'])),
  );
}

test('where one batch is let in at once the others wait, and all are answered in order', () =>
  serving('waits', PATIENT, async (service) => {
    const answers = await together(service);
    for (const one of answers) {
      assert.equal(one.at(-1), '+PONG');
      const values = one.slice(0, -1).map((line) => Number(line.slice(1)));
      assert.deepEqual(
        values,
        values.toSorted((a, b) => a - b),
      );
      assert.equal(values.length, COMMANDS);
    }
    const [total] = await talk(service, ['CRDT.GET n']);
    assert.equal(total, `:${CONNECTIONS * COMMANDS}`);
  }));

test('what finds no room is BUSY, changes nothing, and is told when to come again', () =>
  serving('refuses', { MEMPLANE_QUEUE_REQUESTS_MAX: '1' }, async (service) => {
    const answers = await together(service);
    let counted = 0;
    let refused = 0;
    for (const one of answers) {
      assert.equal(one.at(-1), '+PONG', 'what is about the connection is always answered');
      assert.equal(one.length, COMMANDS + 1, 'each command has its answer');
      for (const line of one.slice(0, -1)) {
        if (/^:\d+$/.test(line)) counted++;
        else if (BUSY.test(line)) refused++;
        else assert.fail(line);
      }
    }
    assert.ok(refused > 0, 'nobody was refused');
    assert.deepEqual(await talk(service, ['CRDT.GET n']), [`:${counted}`]);
  }));

test('without admission all are let in', () =>
  serving('all', { MEMPLANE_ADMISSION: 'false', MEMPLANE_QUEUE_REQUESTS_MAX: '1' }, async (s) => {
    const answers = await together(s);
    assert.ok(answers.flat().every((line) => !line.startsWith('-')));
  }));

test('a place is given back, also by who goes away before it is answered', () =>
  serving('leaves', PATIENT, async (service) => {
    for (let i = 0; i < CONNECTIONS; i++) {
      const socket = connect(service.respPort, '127.0.0.1');
      await new Promise((resolve) => socket.write('CRDT.INCR n 1\r\nCRDT.AF', resolve));
      socket.destroy();
    }
    const [total] = await talk(service, ['CRDT.GET n']);
    assert.match(total ?? '', /^:\d+$/);
  }));
