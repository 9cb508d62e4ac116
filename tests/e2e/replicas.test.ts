import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { Memplane } from '@memplane/client';
import { eventually, figure } from '@memplane/testkit';
import { Redis } from 'ioredis';
import { ReplicaProcesses } from './replica-processes.ts';

const IDS = ['a', 'b', 'c'];
const CALL_TIMEOUT_MS = 1_000;
/** What HTTP, a durable write and a busy machine may add to it. */
const MARGIN_MS = 1_000;
const SESSIONS = 40;

describe('three replicas', () => {
  let replicas: ReplicaProcesses;

  before(async () => {
    replicas = await ReplicaProcesses.start(IDS, {
      env: { MEMPLANE_REPLICA_CALL_TIMEOUT_MS: String(CALL_TIMEOUT_MS) },
    });
  });
  after(() => replicas.stop());

  const get = (id: string, url: string) => replicas.ask(id, 'GET', url);
  const raise = (id: string, url: string, body: object) => replicas.ask(id, 'POST', url, body);

  async function everywhere(url: string, value: unknown, member = 'value'): Promise<void> {
    await eventually(`${url} is the same everywhere`, 10_000, async () => {
      const answers = await Promise.all(IDS.map((id) => get(id, url)));
      const wanted = JSON.stringify(value);
      return answers.every(({ body }) => JSON.stringify(body[member]) === wanted) || undefined;
    });
  }

  function respAt(id: string): Redis {
    return new Redis(replicas.at(id).respPort, '127.0.0.1', { retryStrategy: () => null });
  }

  it('have the same values soon after each has changed them', async () => {
    await Promise.all(
      IDS.flatMap((id) => [
        raise(id, '/v1/counters/hits/increments', { by: 2 }),
        raise(id, '/v1/sets/agents/adds', { element: `agent-${id}` }),
        replicas.ask(id, 'PUT', '/v1/registers/leader', { value: id }),
      ]),
    );
    await everywhere('/v1/counters/hits', 6);
    await everywhere('/v1/sets/agents', ['agent-a', 'agent-b', 'agent-c'], 'elements');
    const leaders = await Promise.all(IDS.map((id) => get(id, '/v1/registers/leader')));
    assert.equal(new Set(leaders.map(({ body }) => body['value'])).size, 1);
    assert.equal((await replicas.ask('b', 'DELETE', '/v1/sets/agents')).body['reset'], true);
    await everywhere('/v1/sets/agents', [], 'elements');
  });

  it('let a session read what it wrote, and never less than it read, at any of them', async () => {
    let tookMs = 0;
    let seen = 0;
    let token = '';
    for (let session = 0; session < SESSIONS; session++) {
      const [writer = '', reader = ''] = [IDS[session % 3], IDS[(session + 1 + (session % 2)) % 3]];
      const url = '/v1/counters/mine';
      const written = await raise(writer, `${url}/increments?token=true`, { by: 1 });
      const tokens = [token, String(written.body['token'])].filter((each) => each !== '');
      const startMs = performance.now();
      const read = await get(reader, `${url}?token=true&after=${tokens.join(',')}`);
      tookMs = Math.max(tookMs, performance.now() - startMs);
      assert.equal(read.status, 200, JSON.stringify(read.body));
      const value = Number(read.body['value']);
      assert.ok(value >= seen + 1, `${value} after ${seen}`);
      seen = value;
      token = String(read.body['token']);
    }
    figure('a read with a token of another replica, the longest of 40', Math.round(tookMs), 'ms');
    assert.equal(seen, SESSIONS);
  });

  it('say at once or after the time given what they do not have', async () => {
    const { body } = await raise('a', '/v1/counters/late/increments?token=true', { by: 1 });
    await replicas.without(['a'], async () => {
      // What only a replica that stands still may have.
      const unknown = await get('b', `/v1/counters/late?after=${body['token']}&waitMs=0`);
      assert.ok(unknown.status === 200 || unknown.body['code'] === 'not_yet_visible');
      const bad = await get('b', '/v1/counters/late?after=mct_wrong');
      assert.deepEqual([bad.status, bad.body['field']], [400, 'query.after']);
    });
    const { status } = await get('b', `/v1/counters/late?after=${body['token']}&waitMs=10000`);
    assert.equal(status, 200);
  });

  it('take tokens over RESP at each other', async () => {
    const clients = IDS.map(respAt);
    try {
      for (let round = 1; round <= 15; round++) {
        const writer = clients[round % 3] ?? assert.fail();
        const reader = clients[(round + 1) % 3] ?? assert.fail();
        assert.ok(Number(await writer.call('CRDT.INCR', 'resp', '1')) <= round);
        const token = String(await writer.call('CRDT.TOKEN'));
        assert.equal(await reader.call('CRDT.AFTER', token), 'OK');
        assert.equal(await reader.call('CRDT.GET', 'resp'), round);
        const read = await get(IDS[(round + 2) % 3] ?? '', `/v1/counters/resp?after=${token}`);
        assert.equal(read.body['value'], round);
      }
    } finally {
      for (const client of clients) client.disconnect();
    }
  });

  it('give a client behind a balancer what it wrote, without its asking', async () => {
    let calls = 0;
    const rotating: typeof fetch = (input, init) => {
      const url = new URL(String(input));
      url.port = String(replicas.at(IDS[calls++ % 3] ?? '').port);
      return fetch(url, init);
    };
    const client = new Memplane({ url: 'http://127.0.0.1:7101', fetch: rotating });
    for (let round = 1; round <= 10; round++) {
      await client.counter('balanced').increment();
      assert.equal(await client.counter('balanced').get(), round);
      await client.set('balanced-set').add(`${round}`);
      assert.equal((await client.set('balanced-set').elements()).length, round);
      await client.register('balanced-register').set(round, { write: 'quorum' });
      assert.equal(await client.register('balanced-register').get({ read: 'quorum' }), round);
    }
  });

  it('serve quorums on the side that has a majority', async () => {
    await replicas.without(['c'], async () => {
      const url = '/v1/counters/major';
      const written = await raise('a', `${url}/increments?write=quorum`, { by: 3, opId: 'x' });
      assert.deepEqual([written.status, written.body['value']], [200, 3]);
      const read = await get('b', `${url}?read=quorum`);
      assert.deepEqual(read.body, { value: 3, quorum: { replicas: ['a', 'b'], of: 3 } });
      const again = await raise('b', `${url}/increments?write=quorum`, { by: 3, opId: 'x' });
      assert.deepEqual(again.body, { value: 3, duplicate: true });
      const writes = await Promise.all([
        raise('a', '/v1/sets/major-set/adds?write=quorum', { element: 'x' }),
        replicas.ask('b', 'PUT', '/v1/registers/major-register?write=quorum', { value: 1 }),
      ]);
      assert.deepEqual(
        writes.map(({ status }) => status),
        [200, 200],
      );
      assert.deepEqual((await get('a', '/v1/sets/major-set?read=quorum')).body['elements'], ['x']);
      assert.equal((await get('a', '/v1/registers/major-register?read=quorum')).body['value'], 1);
    });
    await everywhere('/v1/counters/major', 3);
    await replicas.allHearAll();
  });

  it('refuse quorums in time on the other side, and lose nothing', async () => {
    await replicas.without(['b', 'c'], async () => {
      const calls = [
        () => raise('a', '/v1/counters/minor/increments?write=quorum', { by: 1, opId: 'y' }),
        () => raise('a', '/v1/counters/minor/increments?write=quorum', { by: 1, opId: 'y' }),
        () => get('a', '/v1/counters/minor?read=quorum'),
        () => get('a', '/v1/sets/minor?read=quorum'),
        () => get('a', '/v1/registers/minor?read=quorum'),
        () => raise('a', '/v1/sets/minor-set/adds?write=quorum', { element: 'x' }),
      ];
      for (const call of calls) {
        const startMs = performance.now();
        const { status, body } = await call();
        const tookMs = performance.now() - startMs;
        assert.deepEqual([status, body['code']], [503, 'no_quorum']);
        assert.equal(body['retryAfterMs'], 1_000);
        assert.ok(tookMs <= CALL_TIMEOUT_MS + MARGIN_MS, `${tookMs} ms`);
      }
      assert.equal((await get('a', '/v1/counters/minor')).body['value'], 1);
    });
    await everywhere('/v1/counters/minor', 1);
    await everywhere('/v1/sets/minor-set', ['x'], 'elements');
    await replicas.allHearAll();
    const read = await get('c', '/v1/counters/minor?read=quorum');
    assert.equal(read.body['value'], 1);
  });

  it('raise a flag once two of three have voted, over restarts', async () => {
    const votes = (id: string) => replicas.ask(id, 'PUT', '/v1/flags/drained/votes');
    assert.deepEqual((await votes('a')).body, { value: false, votes: 1, of: 3 });
    await replicas.end('a', 'SIGKILL');
    await replicas.start('a');
    await replicas.allHearAll();
    await everywhere('/v1/flags/drained', 1, 'votes');
    assert.equal((await votes('b')).body['value'], true);
    await everywhere('/v1/flags/drained', true);
    const report = (await replicas.ask('c', 'POST', '/v1/reconciliations', {})).body;
    assert.deepEqual((report['values'] as { flag: number }).flag, 1);
    const compared = report['compared'] as { differences: unknown[] }[];
    assert.ok(compared.every(({ differences }) => differences.length === 0));
  });

  it('tell the version of the membership with each read', async () => {
    const { port } = replicas.at('a');
    const { headers } = await fetch(`http://127.0.0.1:${port}/v1/counters/hits`);
    const { body } = await get('a', '/v1/members');
    assert.equal(headers.get('memplane-view-version'), String(body['viewVersion']));
  });
});
