import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { redisTool } from '@memplane/stack';
import { Redis } from 'ioredis';
import { TestRedis } from './drivers/redis/test-redis.ts';
import { TestInstance } from './test-instance.ts';

const run = promisify(execFile);
const LANES = 12;
const LOG_ID = '0193f6f0-0000-7000-8000-00000000000a';

describe('two instances on one Redis', () => {
  let redis: TestRedis;
  let env: Record<string, string>;
  let instances: [TestInstance, TestInstance];
  let clients: Redis[];

  before(async () => {
    redis = await TestRedis.start({ appendfsync: 'always' });
    env = {
      MEMPLANE_REDIS_URL: redis.url,
      MEMPLANE_REDIS_PASSWORD: TestRedis.password,
      MEMPLANE_REDIS_APPENDFSYNC: 'always',
      MEMPLANE_REDIS_COMMAND_TIMEOUT_MS: '1000',
      MEMPLANE_REDIS_CONNECT_TIMEOUT_MS: '1000',
      MEMPLANE_LOG_LEVEL: 'info',
    };
    const start = (name: string) => TestInstance.start({ ...env, MEMPLANE_INSTANCE: name });
    instances = await Promise.all([start('one'), start('two')]);
    clients = instances.map(({ respPort }) => new Redis(respPort, '127.0.0.1'));
    for (const client of clients) client.on('error', () => {});
  });
  after(async () => {
    for (const client of clients) client.disconnect();
    for (const instance of instances) await instance.kill();
    await redis[Symbol.asyncDispose]();
  });

  const at = (index: number) => instances[index % 2] ?? assert.fail();

  /** Repeats an increment, at one instance and the other, until one of them says that it is there. */
  async function surely(
    name: string,
    opId: string,
    first: number,
    given: AbortSignal,
  ): Promise<number> {
    for (let turn = first; ; turn++) {
      given.throwIfAborted();
      try {
        const url = `/v1/counters/${name}/increments`;
        const { status, body } = await at(turn).ask('POST', url, { by: 1, opId });
        if (status === 200) return turn - first;
        assert.ok(status === 503 || status === 429, JSON.stringify(body));
        assert.equal(body['code'], status === 503 ? 'storage_unavailable' : 'overloaded');
      } catch (error) {
        // It was killed, or its connection: the other one, or the next process, will take it.
        if (error instanceof assert.AssertionError) throw error;
      }
      await sleep(20);
    }
  }

  /** Increments until told to stop, then says how many, all of which are acknowledged. */
  function load(name: string, given: AbortSignal) {
    let isEnding = false;
    let done = 0;
    let repeated = 0;
    const lanes = Array.from({ length: LANES }, async (_, lane) => {
      for (let n = 0; !isEnding; n++) {
        repeated += await surely(name, `${lane}-${n}`, lane, given);
        done++;
      }
    });
    // Those of a test that has failed already end without a word.
    for (const lane of lanes) lane.catch(() => {});
    return {
      soFar: () => done,
      until: async (count: number) => {
        while (done < count) await sleep(10, undefined, { signal: given });
      },
      end: async () => {
        isEnding = true;
        await Promise.all(lanes);
        return { done, repeated };
      },
    };
  }

  async function value(name: string): Promise<unknown> {
    const values = await Promise.all(
      instances.map(async (it) => (await it.ask('GET', `/v1/counters/${name}`)).body['value']),
    );
    assert.equal(values[0], values[1], 'both read the same');
    return values[0];
  }

  it('lose no update of each other, over HTTP and RESP, and count each operation id once', async () => {
    const work: Promise<unknown>[] = [];
    for (let n = 0; n < 400; n++) {
      const opId = `op-${n}`;
      const other = clients[(n + 1) % 2] ?? assert.fail();
      // The same operation, at both at once.
      work.push(at(n).ask('POST', '/v1/counters/both/increments', { by: 3, opId }));
      work.push(other.call('CRDT.INCR', 'both', '3', 'OPID', opId));
      // Without an id, and commands that depend on each other.
      work.push(other.call('CRDT.INCR', 'plain', String(n % 7)));
      work.push(at(n).ask('POST', '/v1/counters/plain/increments', { by: -1 }));
      work.push(other.call('CRDT.SADD', 'set', `e${n % 50}`, `f${n}`));
      const part = { logId: LOG_ID, epoch: n % 3, offset: n, value: n };
      work.push(at(n).ask('PUT', `/v1/counters/derived/partitions/${n % 4}`, part));
    }
    await Promise.all(work);
    assert.equal(await value('both'), 1_200);
    let plain = -400;
    for (let n = 0; n < 400; n++) plain += n % 7;
    assert.equal(await value('plain'), plain);
    const { body } = await at(0).ask('GET', '/v1/sets/set?limit=1000');
    assert.equal((body['elements'] as unknown[]).length, 450);
    // For each partition the highest (epoch, offset): epochs 2, offsets up to 398.
    const parts = new Map<number, number>();
    for (let n = 0; n < 400; n++) if (n % 3 === 2) parts.set(n % 4, n);
    assert.equal(
      await value('derived'),
      [...parts.values()].reduce((a, b) => a + b, 0),
    );
    const other = { logId: LOG_ID.replace('a', 'b'), epoch: 9, offset: 9, value: 1 };
    const refused = await at(1).ask('PUT', '/v1/counters/derived/partitions/0', other);
    assert.equal(refused.body['code'], 'token_of_another_log');
  });

  it('keep bounds and see each other at once', async () => {
    const max = Number.MAX_SAFE_INTEGER;
    await at(0).ask('POST', '/v1/counters/edge/increments', { by: max - 10 });
    const answers = await Promise.all(
      Array.from({ length: 40 }, (_, n) =>
        at(n).ask('POST', '/v1/counters/edge/increments', { by: 1 }),
      ),
    );
    assert.equal(answers.filter(({ status }) => status === 200).length, 10);
    assert.equal(await value('edge'), max);
    // A removal takes what the other one has just added, and a write is the last one everywhere.
    for (let n = 0; n < 30; n++) {
      await clients[n % 2]?.call('CRDT.SADD', 'seen', 'x');
      assert.equal(await clients[(n + 1) % 2]?.call('CRDT.SISMEMBER', 'seen', 'x'), 1);
      assert.equal(await clients[(n + 1) % 2]?.call('CRDT.SREM', 'seen', 'x'), 1);
      await clients[n % 2]?.call('CRDT.SET', 'register', `v${n}`);
      assert.equal(await clients[(n + 1) % 2]?.call('CRDT.READ', 'register'), `v${n}`);
    }
    const token = String(await clients[0]?.call('CRDT.TOKEN'));
    assert.equal(await clients[1]?.call('CRDT.AFTER', token), 'OK');
    const one = await at(0).ask('DELETE', '/v1/counters/edge');
    assert.deepEqual(one.body, { reset: true });
    assert.equal(await value('edge'), 0);
  });

  it('answer redis-cli alike', async () => {
    const { command, env } = await redisTool('redis-cli');
    const cli = async (index: number, ...words: string[]) => {
      const port = String(at(index).respPort);
      const options = { env: { ...process.env, ...env } };
      return (await run(command, ['-p', port, ...words], options)).stdout.trim();
    };
    assert.equal(await cli(0, 'CRDT.INCR', 'cli', '5'), '5');
    assert.equal(await cli(1, 'CRDT.DECR', 'cli', '7', 'OPID', 'x'), '-2');
    assert.equal(await cli(0, 'CRDT.DECR', 'cli', '7', 'OPID', 'x'), '-2');
    assert.match(await cli(1, 'CRDT.SADD', 'cli', 'x'), /WRONGTYPE/);
    assert.equal(await cli(1, 'CONFIG', 'GET', 'appendfsync'), 'appendfsync\nalways');
  });

  it('one is killed: the other goes on, and every operation counts once', async (t) => {
    const running = load('killed', t.signal);
    await running.until(200);
    const victim = at(0);
    await victim.kill();
    const before = running.soFar();
    await running.until(before + 200);
    const ports = [victim.port, victim.respPort] as const;
    instances[0] = await TestInstance.start({ ...env, MEMPLANE_INSTANCE: 'one' }, ports);
    await running.until(before + 400);
    const { done } = await running.end();
    assert.equal(await value('killed'), done);
  });

  for (const round of [1, 2, 3]) {
    it(`Redis is killed and comes back on its AOF (${round}): nothing acknowledged is lost`, async (t) => {
      const name = `restarted-${round}`;
      const incarnation = (await at(0).readyz()).body['incarnation'];
      const running = load(name, t.signal);
      await running.until(150);
      await redis.server.kill();
      const down = await Promise.all([
        at(0).ask('GET', `/v1/counters/${name}`),
        at(1).ask('POST', '/v1/counters/down/increments', { by: 1 }),
      ]);
      assert.deepEqual([down[0].status, down[0].body['code']], [503, 'storage_unavailable']);
      assert.deepEqual([down[1].status, down[1].body['code']], [503, 'storage_unavailable']);
      assert.equal((await at(0).readyz()).status, 503);
      await redis.server.start();
      await Promise.all(instances.map((it) => it.ready()));
      await running.until(running.soFar() + 100);
      const { done, repeated } = await running.end();
      assert.equal(await value(name), done);
      assert.notEqual((await at(0).readyz()).body['incarnation'], incarnation);
      t.diagnostic(`${done} operations, ${repeated} repetitions`);
    });
  }

  it('Redis is paused: refusals in bounded time, and the same totals when it wakes', async (t) => {
    const running = load('paused', t.signal);
    await running.until(150);
    redis.server.pause();
    await sleep(200);
    const asked = performance.now();
    const refused = await at(1).ask('POST', '/v1/counters/p/increments', { by: 1 });
    const tookMs = performance.now() - asked;
    assert.equal(refused.body['code'], 'storage_unavailable');
    assert.ok(tookMs < 3_000, `${tookMs} ms`);
    await sleep(2_000);
    assert.equal((await at(0).readyz()).status, 503);
    redis.server.resume();
    await Promise.all(instances.map((it) => it.ready()));
    await running.until(running.soFar() + 100);
    const { done, repeated } = await running.end();
    assert.equal(await value('paused'), done);
    t.diagnostic(
      `refused after ${Math.round(tookMs)} ms; ${done} operations, ${repeated} repeated`,
    );
  });

  it("find what was changed by hand, and keep both instances' alerts", {
    timeout: 10_000,
  }, async (t) => {
    const own = await redis.connect();
    await clients[0]?.call('CRDT.SADD', 'edited', 'x', 'y');
    await own.command(['HDEL', 'default:elements:edited', 'x']);
    const { body } = await at(1).ask('POST', '/v1/reconciliations', {});
    const [difference] = body['differences'] as { name: string }[];
    assert.equal(difference?.name, 'edited');
    for (const instance of instances) {
      // Of the pauses above, by both: raised, and cleared by the next look at the storage.
      const isTold = async () => {
        const { alerts } = (await instance.ask('GET', '/v1/alerts')).body as {
          alerts: { code: string; subject?: string; clearedAt?: string }[];
        };
        const cleared = alerts.filter(
          ({ code, clearedAt }) => code === 'storage_unavailable' && clearedAt !== undefined,
        );
        return cleared.length === 2 && alerts.some(({ subject }) => subject === 'set/edited');
      };
      while (!(await isTold())) await sleep(50, undefined, { signal: t.signal });
    }
    await own.command(['SET', 'default:counter:broken', 'garbage']);
    const broken = await at(0).ask('GET', '/v1/counters/broken');
    assert.equal(broken.body['code'], 'storage_damaged');
    assert.equal(await clients[1]?.call('CRDT.GET', 'cli'), -2);
    await own.command(['DEL', 'default:counter:broken']);
    await own.command(['SET', 'default:members:typed', 'no set']);
    await assert.rejects(clients[0]?.call('CRDT.SADD', 'typed', 'x') ?? assert.fail(), /damaged/);
    assert.equal(await own.command(['EXISTS', 'default:elements:typed']), '0');
  });

  it('print no password, and have none on their command line', async () => {
    for (const { child, output } of instances) {
      assert.match(output, /Redis is connected/);
      assert.ok(!output.includes(TestRedis.password));
      const words = await readFile(`/proc/${child.pid}/cmdline`, 'utf8');
      assert.ok(!words.includes(TestRedis.password));
    }
  });
});

describe('a Redis that keeps too little', () => {
  for (const [what, settings, words] of [
    ['no AOF', { appendonly: 'no' }, /appendonly no/],
    [
      'an AOF that is synced less often than asked',
      { appendfsync: 'everysec' },
      /everysec; always/,
    ],
    ['eviction', { maxmemory: '100mb', 'maxmemory-policy': 'allkeys-lru' }, /allkeys-lru/],
  ] as const) {
    it(`is refused: ${what}`, async () => {
      await using redis = await TestRedis.start({ ...settings });
      await assert.rejects(redis.connect({ appendfsync: 'always' }, 1_000), words);
    });
  }

  it('says that it is full, answers reads, and takes writes again when it has room', async () => {
    await using redis = await TestRedis.start({ appendfsync: 'everysec' });
    const own = await redis.connect();
    await using instance = await TestInstance.start({
      MEMPLANE_REDIS_URL: redis.url,
      MEMPLANE_REDIS_PASSWORD: TestRedis.password,
      MEMPLANE_CRDT_STORAGE_PROBE_INTERVAL_MS: '50',
    });
    const url = '/v1/counters/full/increments';
    assert.equal((await instance.ask('POST', url, { by: 2 })).body['value'], 2);
    await own.command(['CONFIG', 'SET', 'maxmemory', '1']);
    const full = await instance.ask('POST', url, { by: 2 });
    assert.deepEqual([full.status, full.body['code']], [503, 'storage_full']);
    assert.equal((await instance.ask('GET', '/v1/counters/full')).body['value'], 2);
    assert.equal((await instance.readyz()).status, 503);
    await own.command(['CONFIG', 'SET', 'maxmemory', '0']);
    await instance.ready();
    assert.equal((await instance.ask('POST', url, { by: 2 })).body['value'], 4);
  });
});
