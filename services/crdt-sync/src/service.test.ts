import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { prefixEnd, RocksStore } from '@memplane/rocks';
import { Redis } from 'ioredis';
import { readCrdtSyncConfig } from './config.ts';
import { createCrdtSync } from './folder-replica.ts';
import type { CrdtSync } from './service.ts';

const QUIET = {
  MEMPLANE_LOG_LEVEL: 'silent',
  MEMPLANE_CRDT_SYNC_PORT: '0',
  MEMPLANE_RESP_PORT: '0',
};
const LOG_A = '0193f6f0-0000-7000-8000-00000000000a';
const LOG_B = '0193f6f0-0000-7000-8000-00000000000b';

async function started(dir: string, env: Record<string, string> = {}): Promise<CrdtSync> {
  const service = await createCrdtSync(readCrdtSyncConfig({ ...QUIET, ...env }), { dir });
  await service.start();
  return service;
}

async function ended(service: CrdtSync): Promise<void> {
  await service.drain();
  await service.stop();
}

function redis(port: number, options: object = {}): Redis {
  return new Redis(port, '127.0.0.1', {
    maxRetriesPerRequest: 0,
    retryStrategy: () => null,
    ...options,
  });
}

/** Sends a text, and gives all that is answered until the service closes the connection. */
async function talk(service: CrdtSync, text: string): Promise<string> {
  const socket = connect(service.respPort, '127.0.0.1');
  socket.write(text);
  let answer = '';
  for await (const chunk of socket) answer += String(chunk);
  return answer;
}

describe('crdt-sync', () => {
  let dir: string;
  let service: CrdtSync;
  let client: Redis;

  before(async () => {
    dir = await mkdtemp(path.join(tmpdir(), 'memplane-crdt-'));
    service = await started(dir, {
      MEMPLANE_OPERATOR_TOKEN: 'op',
      MEMPLANE_SET_ELEMENTS_MAX: '50',
    });
    client = redis(service.respPort);
  });
  after(async () => {
    client.disconnect();
    await ended(service);
    await rm(dir, { recursive: true });
  });

  async function http(
    method: string,
    url: string,
    body?: unknown,
    headers: Record<string, string> = {},
  ) {
    const response = await fetch(`http://127.0.0.1:${service.port}${url}`, {
      method,
      headers: { 'content-type': 'application/json', ...headers },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    return { status: response.status, body: (await response.json()) as Record<string, unknown> };
  }

  it('counts over both protocols; a repeated operation id counts once', async () => {
    assert.deepEqual((await http('GET', '/v1/counters/c')).body, { value: 0 });
    const raise = { by: 5, opId: 'op-1' };
    assert.deepEqual((await http('POST', '/v1/counters/c/increments', raise)).body, { value: 5 });
    const again = await http('POST', '/v1/counters/c/increments', raise);
    assert.deepEqual(again.body, { value: 5, duplicate: true });
    const old = { by: 5, opId: '01800000-0000-7000-8000-000000000000' };
    const refused = await http('POST', '/v1/counters/c/increments', old);
    assert.deepEqual([refused.body['code'], refused.body['field']], ['bad_opid', 'body.opId']);
    await assert.rejects(client.call('CRDT.INCR', 'c', '2', 'OPID', old.opId), /ERR bad_opid/);
    const other = await http('POST', '/v1/counters/c/increments', { by: 6, opId: 'op-1' });
    assert.equal(other.body['code'], 'id_reused');
    assert.equal(await client.call('CRDT.INCR', 'c', '2', 'OPID', 'op-2'), 7);
    assert.equal(await client.call('CRDT.INCR', 'c', '2', 'opid', 'op-2'), 7);
    assert.equal(await client.call('CRDT.DECR', 'c', '10'), -3);
    assert.deepEqual((await http('GET', '/v1/counters/c?read=quorum')).body, {
      value: -3,
      quorum: { replicas: ['replica-0'], of: 1 },
    });
    const listed = await http('GET', '/v1/counters?limit=1');
    assert.deepEqual(listed.body['counters'], [{ name: 'c', value: -3, kind: 'pn' }]);
  });

  it('refuses what a counter can not do, and changes nothing', async () => {
    const url = '/v1/counters/bounded/increments';
    await http('POST', url, { by: Number.MAX_SAFE_INTEGER, kind: 'g' });
    const refused: [unknown, string, string | undefined][] = [
      [{ by: 1 }, 'counter_overflow', 'body.by'],
      [{ by: -1 }, 'invalid_request', 'body.by'],
      [{ by: 1, kind: 'pn' }, 'wrong_type', 'body.kind'],
      [{ by: 1.5 }, 'invalid_request', 'body.by'],
      [{}, 'invalid_request', 'body.by'],
      [{ by: 1, opId: '' }, 'invalid_request', 'body.opId'],
      [{ by: 1, more: 1 }, 'invalid_request', 'body.more'],
    ];
    for (const [body, code, field] of refused) {
      const answer = await http('POST', url, body);
      assert.deepEqual([answer.body['code'], answer.body['field']], [code, field]);
    }
    assert.equal(
      (await http('GET', '/v1/counters/bounded')).body['value'],
      Number.MAX_SAFE_INTEGER,
    );
    await assert.rejects(client.call('CRDT.INCR', 'bounded', '1'), /counter_overflow/);
    await assert.rejects(client.call('CRDT.INCR', 'bounded', 'x'), /not an integer/);
    await assert.rejects(client.call('CRDT.INCR', 'no/name', '1'), /a name is/);
  });

  it('keeps sets, and resets them', async () => {
    assert.equal(await client.call('CRDT.SADD', 's', 'a', 'b', 'a'), 2);
    assert.equal(await client.call('CRDT.SADD', 's', 'a'), 0);
    assert.deepEqual(await client.call('CRDT.SMEMBERS', 's'), ['a', 'b']);
    assert.deepEqual((await http('POST', '/v1/sets/s/adds', { element: 'ü' })).body, {
      added: true,
    });
    assert.deepEqual((await http('GET', '/v1/sets/s?limit=2')).body, {
      elements: ['a', 'b'],
      nextCursor: 'b',
    });
    assert.deepEqual((await http('GET', '/v1/sets/s?cursor=b')).body, { elements: ['ü'] });
    assert.equal(await client.call('CRDT.SISMEMBER', 's', 'b'), 1);
    assert.equal(await client.call('CRDT.SREM', 's', 'b', 'zzz'), 1);
    assert.equal(await client.call('CRDT.SISMEMBER', 's', 'b'), 0);
    assert.deepEqual((await http('DELETE', '/v1/sets/s')).body, { reset: true });
    assert.deepEqual(await client.call('CRDT.SMEMBERS', 's'), []);
    const many = Array.from({ length: 51 }, (_, index) => `e${index}`);
    await assert.rejects(client.call('CRDT.SADD', 's', ...many), /at most 50 elements/);
    assert.deepEqual(await client.call('CRDT.SMEMBERS', 's'), []);
  });

  it('keeps registers, last write wins', async () => {
    assert.equal((await http('GET', '/v1/registers/r')).body['code'], 'not_found');
    assert.equal(await client.call('CRDT.READ', 'r'), null);
    const put = await http('PUT', '/v1/registers/r', { value: { a: [1, null] } });
    assert.deepEqual(put.body['value'], { a: [1, null] });
    assert.equal(await client.call('CRDT.READ', 'r'), '{"a":[1,null]}');
    assert.equal(await client.call('CRDT.SET', 'r', 'text'), 'OK');
    const read = await http('GET', '/v1/registers/r');
    assert.equal(read.body['value'], 'text');
    assert.ok(String(read.body['hlc']) > String(put.body['hlc']));
    const large = await http('PUT', '/v1/registers/r', { value: 'x'.repeat(70_000) });
    assert.equal(large.body['code'], 'body_too_large');
    assert.equal(await client.call('CRDT.DEL', 'r'), 1);
    assert.equal(await client.call('CRDT.DEL', 'r'), 0);
  });

  it('keeps maps: fields of all types, nested, removed with all that is in them', async () => {
    assert.deepEqual((await http('GET', '/v1/maps/m')).body, { fields: [] });
    const post = async (change: string, body: object) =>
      (await http('POST', `/v1/maps/m/${change}`, body)).body;
    const [steps, skills] = [
      ['7', 'steps'],
      ['7', 'skills'],
    ];
    assert.deepEqual(await post('increments', { path: steps, by: 5 }), { value: 5 });
    assert.deepEqual(await post('increments', { path: steps, by: -2 }), { value: 3 });
    assert.deepEqual(await post('adds', { path: skills, element: 'ü' }), { added: true });
    assert.deepEqual(await post('adds', { path: skills, element: 'ü' }), { added: false });
    assert.deepEqual(await post('removes', { path: skills, element: 'x' }), { removed: false });
    const written = await post('writes', { path: ['name'], value: { a: [1, null] } });
    assert.deepEqual(written['value'], { a: [1, null] });
    const { hlc, replica } = written;
    assert.deepEqual((await http('GET', '/v1/maps/m?read=quorum')).body['fields'], [
      { type: 'set', path: skills, elements: ['ü'] },
      { type: 'counter', path: steps, value: 3 },
      { type: 'register', path: ['name'], value: { a: [1, null] }, hlc, replica },
    ]);
    assert.equal((await http('GET', '/v1/sets/m')).body['code'], 'wrong_type');
    const removal = { path: ['7'], type: 'map' };
    assert.deepEqual(await post('removals', removal), { removed: true });
    assert.deepEqual(await post('removals', removal), { removed: false });
    for (const [change, body, field] of [
      ['increments', { path: steps, by: 1, opId: 'x' }, 'body.opId'],
      ['increments', { path: [], by: 1 }, 'body.path'],
      ['adds', { path: ['a/b'], element: 'x' }, 'body.path[0]'],
      ['writes', { path: ['name'], value: 'x'.repeat(70_000) }, 'body.value'],
    ] as const) {
      assert.equal((await post(change, body))['field'], field);
    }
    assert.equal(await client.call('CRDT.DEL', 'm'), 1);
    assert.deepEqual((await http('GET', '/v1/maps/m')).body, { fields: [] });
  });

  it('keeps a flag beside what its name holds; one vote is a majority of one', async () => {
    await client.call('CRDT.SADD', 'flagged', 'x');
    assert.deepEqual((await http('GET', '/v1/flags/flagged')).body, {
      value: false,
      votes: 0,
      of: 1,
    });
    const url = '/v1/flags/flagged/votes';
    for (const body of [undefined, {}]) {
      const vote = await http('PUT', `${url}?write=quorum`, body);
      assert.deepEqual([vote.status, vote.body], [200, { value: true, votes: 1, of: 1 }]);
    }
    assert.deepEqual(await client.call('CRDT.SMEMBERS', 'flagged'), ['x']);
    await client.call('CRDT.DEL', 'flagged');
    assert.equal((await http('GET', '/v1/flags/flagged?read=quorum')).body['value'], true);
    assert.equal((await http('GET', '/v1/flags/no%2Fname')).body['code'], 'invalid_request');
  });

  it('does not mix types under one name, until it is reset', async () => {
    await client.call('CRDT.SADD', 'typed', 'x');
    await assert.rejects(client.call('CRDT.INCR', 'typed', '1'), /^ReplyError: WRONGTYPE/);
    assert.equal((await http('GET', '/v1/registers/typed')).status, 409);
    await client.call('CRDT.INCR', 'typed2', '1');
    await assert.rejects(client.call('CRDT.SMEMBERS', 'typed2'), /WRONGTYPE/);
    assert.equal(await client.call('CRDT.DEL', 'typed2'), 1);
    assert.equal(await client.call('CRDT.SADD', 'typed2', 'x'), 1);
    assert.deepEqual(await client.call('CRDT.SMEMBERS', 'typed2'), ['x']);
  });

  it('takes the parts of a log in any order; another log only from an operator', async () => {
    const part = (
      partition: number,
      offset: number,
      value: number,
      logId = LOG_A,
      query = '',
      headers = {},
    ) =>
      http(
        'PUT',
        `/v1/counters/events_total/partitions/${partition}${query}`,
        { logId, epoch: 0, offset, value },
        headers,
      );
    assert.deepEqual((await part(0, 10, 11)).body, { value: 11, applied: true });
    assert.deepEqual((await part(1, 4, 5)).body, { value: 16, applied: true });
    assert.deepEqual((await part(0, 9, 10)).body, { value: 16, applied: false });
    assert.equal(await client.call('CRDT.INCR', 'events_total', '100'), 116);
    assert.equal((await part(0, 99, 1, LOG_B)).body['code'], 'token_of_another_log');
    assert.equal((await part(0, 99, 1, LOG_B, '?replaceLog=true')).body['code'], 'forbidden');
    const operator = { 'memplane-operator-token': 'op' };
    const moved = await part(0, 3, 1, LOG_B, '?replaceLog=true', operator);
    assert.deepEqual(moved.body, { value: 101, applied: true });
    assert.deepEqual((await http('DELETE', '/v1/counters/events_total')).body, { reset: true });
    assert.equal(await client.call('CRDT.GET', 'events_total'), 1);
  });

  it('answers a pipeline in order, and gives tokens that its reads satisfy', async () => {
    const pipeline = client.pipeline();
    for (let i = 0; i < 500; i++) {
      pipeline.call('CRDT.INCR', 'piped', '1');
      if (i % 100 === 0) pipeline.call('CRDT.SMEMBERS', 'nobody');
      pipeline.call('PING');
    }
    const answers = (await pipeline.exec())!.map(([error, answer]) => error ?? answer);
    const numbers = answers.filter((answer) => typeof answer === 'number');
    assert.deepEqual(
      numbers,
      Array.from({ length: 500 }, (_, index) => index + 1),
    );
    const token = (await client.call('CRDT.TOKEN')) as string;
    assert.match(token, /^mct_/);
    assert.equal(await client.call('CRDT.AFTER', token), 'OK');
    await assert.rejects(client.call('CRDT.AFTER', `${token}x`), /invalid_token/);
  });

  it('says any bytes back in their turn, and refuses them elsewhere', async () => {
    const bytes = Buffer.from([0xff, 0x0d, 0x0a, 0xfe]);
    const answers = await Promise.all([
      client.call('CRDT.INCR', 'bytes', '1'),
      client.callBuffer('ECHO', bytes),
      client.callBuffer('PING', bytes),
      client.call('CRDT.INCR', 'bytes', '1'),
    ]);
    assert.deepEqual(answers, [1, bytes, bytes, 2]);
    await assert.rejects(client.call('CRDT.SADD', 'byte-set', bytes), /valid UTF-8/);
    assert.deepEqual(await client.call('CONFIG', 'GET', 'appendfsync'), ['appendfsync', 'always']);
  });

  it('reports members, alerts and a reconciliation without differences', async () => {
    assert.equal((await http('GET', '/v1/members')).body['quorum'], 1);
    assert.deepEqual((await http('GET', '/v1/alerts')).body, { alerts: [] });
    const report = (await http('POST', '/v1/reconciliations', {})).body;
    assert.deepEqual(report['differences'], []);
    assert.ok((report['values'] as { counter: number }).counter >= 3);
  });

  it('speaks RESP3 where asked, and closes after a protocol error', async () => {
    assert.match(
      await talk(service, 'HELLO 3\r\nCRDT.READ none\r\nCRDT.SMEMBERS none\r\nQUIT\r\n'),
      /^%7\r\n[\s\S]*_\r\n~0\r\n\+OK\r\n$/,
    );
    assert.equal(
      await talk(service, 'PING\r\n*1\r\n+x\r\nPING\r\n'),
      "+PONG\r\n-ERR Protocol error: expected '$', got '+'\r\n",
    );
    assert.match(
      await talk(service, 'NONSENSE\r\nQUIT\r\n'),
      /^-ERR unknown command 'NONSENSE'\r\n\+OK/,
    );
  });
});

describe('crdt-sync on a damaged store', () => {
  it('finds the value, says so in an alert, and keeps the alert over restarts', async () => {
    const dir = await mkdtemp(path.join(tmpdir(), 'memplane-crdt-'));
    let service = await started(dir);
    const at = (url: string) => `http://127.0.0.1:${service.port}${url}`;
    const post = async (url: string, body: unknown) => {
      const headers = { 'content-type': 'application/json' };
      const init = { method: 'POST', headers, body: JSON.stringify(body) };
      return (await (await fetch(at(url), init)).json()) as Record<string, unknown>;
    };
    const alerts = async () =>
      ((await (await fetch(at('/v1/alerts'))).json()) as { alerts: { count: number }[] }).alerts;
    await post('/v1/counters/hurt/increments', { by: 7 });
    await post('/v1/counters/well/increments', { by: 8 });
    assert.deepEqual((await post('/v1/reconciliations', {}))['differences'], []);
    await ended(service);
    await damage(dir, 'hurt');

    service = await started(dir);
    const report = await post('/v1/reconciliations', {});
    assert.deepEqual(
      (report['differences'] as { name: string }[]).map(({ name }) => name),
      ['hurt'],
    );
    assert.equal((await post('/v1/counters/well/increments', { by: 1 }))['value'], 9);
    const [found] = await alerts();
    assert.deepEqual(
      { ...found, time: '' },
      {
        time: '',
        code: 'storage_damaged',
        detail: 'A value does not have its digest.',
        subject: 'counter/hurt',
        count: 1,
      },
    );
    await ended(service);
    service = await started(dir);
    assert.deepEqual(await alerts(), [found]);
    await post('/v1/reconciliations', {});
    assert.equal((await alerts())[0]?.count, 2);
    await ended(service);
    await rm(dir, { recursive: true });
  });
});

/** Flips the last bit of a counter's stored value. */
async function damage(dir: string, name: string): Promise<void> {
  const rocks = await RocksStore.open(dir);
  const start = Buffer.from('default\0c');
  const rows = await rocks.scanAll({ gte: start, lt: prefixEnd(start) ?? start, limit: 100 });
  const row = rows.find(({ key }) => key.toString('latin1').endsWith(name));
  assert.ok(row);
  const value = Buffer.from(row.value);
  value[value.length - 1] = (value.at(-1) ?? 0) ^ 1;
  const batch = rocks.batch();
  batch.put(row.key, value);
  await rocks.write(batch, { sync: true });
  await rocks.close();
}

describe('crdt-sync with a token', () => {
  it('answers NOAUTH until AUTH', async () => {
    const dir = await mkdtemp(path.join(tmpdir(), 'memplane-crdt-'));
    const service = await started(dir, { MEMPLANE_TOKEN: 'secret' });
    const answers = await talk(
      service,
      'CRDT.INCR c 1\r\nAUTH wrong\r\nHELLO 3\r\nAUTH secret\r\nCRDT.INCR c 1\r\nQUIT\r\n',
    );
    assert.match(answers, /^-NOAUTH .*\r\n-WRONGPASS .*\r\n-NOAUTH .*\r\n\+OK\r\n:1\r\n\+OK\r\n$/);
    const known = redis(service.respPort, { password: 'secret' });
    assert.equal(await known.call('CRDT.GET', 'c'), 1);
    known.disconnect();
    await ended(service);
    await rm(dir, { recursive: true });
  });
});

describe('crdt-sync beside a sidecar', () => {
  it('does a reconciliation at each tick of the timer, and tells its alerts', async () => {
    const dir = await mkdtemp(path.join(tmpdir(), 'memplane-crdt-'));
    const told: unknown[] = [];
    const env = { ...QUIET, APP_API_TOKEN: 'app', MEMPLANE_ALERT_PUBLISH_INTERVAL_MS: '10' };
    const seed = await started(dir);
    const counter = '/v1/counters/c/increments';
    const headers = { 'content-type': 'application/json', 'dapr-api-token': 'app' };
    await fetch(`http://127.0.0.1:${seed.port}${counter}`, {
      method: 'POST',
      headers,
      body: '{"by":1}',
    });
    await ended(seed);
    const store = await RocksStore.open(dir);
    for await (const rows of store.scan({})) {
      for (const { key, value } of rows) {
        if (!key.toString('latin1').endsWith('c')) continue;
        const batch = store.batch();
        value[3] = (value[3] ?? 0) ^ 1;
        batch.put(key, value);
        await store.write(batch, { sync: true });
      }
    }
    await store.close();
    const service = await createCrdtSync(readCrdtSyncConfig(env), {
      dir,
      alertSink: { publish: async (alerts) => void told.push(...alerts) },
    });
    await service.start();
    try {
      const tick = (given: Record<string, string>) =>
        fetch(`http://127.0.0.1:${service.port}/reconcile-timer`, {
          method: 'POST',
          headers: given,
        });
      assert.equal((await tick({})).status, 401);
      assert.equal((await tick({ 'dapr-api-token': 'other' })).status, 401);
      const answer = await tick(headers);
      assert.deepEqual([answer.status, await answer.json()], [200, { differences: 1 }]);
      for (let tries = 0; told.length === 0 && tries < 500; tries++) {
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
      const [alert] = told as { code: string; subject: string }[];
      assert.deepEqual([alert?.code, alert?.subject], ['storage_damaged', 'counter/c']);
    } finally {
      await ended(service);
      await rm(dir, { recursive: true });
    }
  });
});

describe('crdt-sync, killed', () => {
  const ROUNDS = Number(process.env['MEMPLANE_CRDT_CRASH_ROUNDS'] ?? 2);

  it('has counted every acknowledged increment, once', async () => {
    const dir = await mkdtemp(path.join(tmpdir(), 'memplane-crdt-'));
    let acknowledged = 0;
    const unsure: string[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      const { child, port } = await spawned(dir);
      const client = redis(port);
      client.on('error', () => {});
      const lane = async (name: string) => {
        for (let i = 0; ; i++) {
          const opId = `${round}-${name}-${i}`;
          try {
            await client.call('CRDT.INCR', 'crash', '1', 'OPID', opId);
          } catch {
            unsure.push(opId);
            return;
          }
          acknowledged++;
          // In mid-stream: there always is something under way.
          if (name === '0' && i === 40 + round * 17) child.kill('SIGKILL');
        }
      };
      await Promise.all(Array.from({ length: 16 }, (_, index) => lane(String(index))));
      client.disconnect();
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
    }
    const service = await started(dir);
    const client = redis(service.respPort);
    const found = Number(await client.call('CRDT.GET', 'crash'));
    assert.ok(found >= acknowledged, `${found} of ${acknowledged}`);
    assert.ok(found <= acknowledged + unsure.length);
    // Sent again with their ids, those without an answer count once, whatever became of them.
    for (const opId of unsure) await client.call('CRDT.INCR', 'crash', '1', 'OPID', opId);
    assert.equal(await client.call('CRDT.GET', 'crash'), acknowledged + unsure.length);
    client.disconnect();
    await ended(service);
    await rm(dir, { recursive: true });
  });
});

async function spawned(dir: string): Promise<{ child: ChildProcess; port: number }> {
  const code = `
    const { createCrdtSync, readCrdtSyncConfig } = await import(process.argv[1]);
    const service = await createCrdtSync(readCrdtSyncConfig(process.env), { dir: process.argv[2] });
    await service.start();
    process.send(service.respPort);`;
  const main = new URL('./index.ts', import.meta.url).href;
  const child = spawn(process.execPath, ['--input-type=module', '-e', code, main, dir], {
    env: { ...process.env, ...QUIET },
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  const [port] = await once(child, 'message');
  return { child, port: Number(port) };
}
