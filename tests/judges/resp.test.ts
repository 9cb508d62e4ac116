import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { after, before, describe, it } from 'node:test';
import { redisTool } from '@memplane/stack';
import { call, eventually, figure, Plane, ScratchFolder } from '@memplane/testkit';
import { Redis } from 'ioredis';

/**
 * The RESP port as others' programs see it: redis-cli, redis-benchmark and ioredis, none of which
 * knows this project.
 */
const TOKEN = 'resp-judge';
const WRONGTYPE = 'WRONGTYPE Operation against a key holding the wrong kind of value';
const BENCHMARK_COMMANDS = 20_000;

const folder = new ScratchFolder('resp');
let plane: Plane;
const tools = {
  'redis-cli': await redisTool('redis-cli'),
  'redis-benchmark': await redisTool('redis-benchmark'),
};

before(async () => {
  plane = await Plane.start({ dataDir: folder.path, env: { MEMPLANE_TOKEN: TOKEN } });
});
after(async () => {
  await plane[Symbol.asyncDispose]();
  folder[Symbol.dispose]();
});

interface Said {
  readonly status: number | null;
  readonly out: string;
  readonly error: string;
}

function redisProgram(
  program: keyof typeof tools,
  args: readonly string[],
  input?: string,
  token = TOKEN,
): Said {
  const { command, env } = tools[program];
  const { status, stdout, stderr, error } = spawnSync(
    command,
    ['-h', '127.0.0.1', '-p', String(plane.ports.resp), ...args],
    {
      encoding: 'utf8',
      timeout: 60_000,
      env: { ...process.env, ...env, ...(token === '' ? {} : { REDISCLI_AUTH: token }) },
      ...(input === undefined ? {} : { input }),
    },
  );
  if (error !== undefined) throw error;
  return { status, out: stdout.trimEnd(), error: stderr.trimEnd() };
}

function cli(line: string, options: readonly string[] = [], token = TOKEN): string {
  return redisProgram('redis-cli', ['--no-raw', ...options, ...line.split(' ')], undefined, token)
    .out;
}

/** What is typed, and what redis-cli makes of the answer. */
type Exchange = readonly [typed: string, shown: string | RegExp];

const EXCHANGES: Readonly<Record<string, readonly Exchange[]>> = {
  counters: [
    ['CRDT.GET c', '(integer) 0'],
    ['CRDT.INCR c 1', '(integer) 1'],
    ['crdt.incr c 5 OPID op-1', '(integer) 6'],
    ['CRDT.INCR c 5 opid op-1', '(integer) 6'],
    ['CRDT.INCR c 6 OPID op-1', /^\(error\) ERR id_reused /],
    ['CRDT.DECR c 10', '(integer) -4'],
    ['CRDT.DECR c 10 OPID op-2', '(integer) -14'],
    ['CRDT.DECR c 10 OPID op-2', '(integer) -14'],
    ['CRDT.GET c', '(integer) -14'],
    ['CRDT.DEL c', '(integer) 1'],
    ['CRDT.DEL c', '(integer) 0'],
    ['CRDT.GET c', '(integer) 0'],
  ],
  sets: [
    ['CRDT.SMEMBERS s', '(empty array)'],
    ['CRDT.SADD s b a b', '(integer) 2'],
    ['CRDT.SADD s a', '(integer) 0'],
    ['CRDT.SMEMBERS s', '1) "a"\n2) "b"'],
    ['CRDT.SISMEMBER s a', '(integer) 1'],
    ['CRDT.SREM s a z', '(integer) 1'],
    ['CRDT.SISMEMBER s a', '(integer) 0'],
    ['CRDT.DEL s', '(integer) 1'],
    ['CRDT.SMEMBERS s', '(empty array)'],
  ],
  registers: [
    ['CRDT.READ r', '(nil)'],
    ['CRDT.SET r first', 'OK'],
    ['CRDT.SET r second', 'OK'],
    ['CRDT.READ r', '"second"'],
    ['CRDT.DEL r', '(integer) 1'],
    ['CRDT.READ r', '(nil)'],
  ],
  'the connection': [
    ['PING', 'PONG'],
    ['PING hello', '"hello"'],
    ['ECHO hello', '"hello"'],
    ['SELECT 0', 'OK'],
    ['SELECT 1', /^\(error\) ERR /],
    ['INFO', /^# Server\r?\nmemplane_version:/],
    ['CRDT.TOKEN', /^"mct_[A-Za-z0-9_-]+"$/],
    ['CLIENT ID', /^\(integer\) \d+$/],
    ['CLIENT GETNAME', '(nil)'],
    ['CLIENT SETNAME judge', 'OK'],
    ['CLIENT SETINFO LIB-NAME judge', 'OK'],
    ['CLIENT INFO', /id=\d+ name= db=0 resp=2/],
    ['CLIENT TRACKING ON', /^\(error\) ERR unknown subcommand/],
    ['CLIENT REPLY OFF', /^\(error\) ERR unknown subcommand/],
    ['READONLY', '(error) ERR This instance has cluster support disabled'],
    ['COMMAND COUNT', /^\(integer\) \d\d$/],
    ['COMMAND INFO crdt.get nobody', /^1\) 1\) "crdt.get"\n[\s\S]*\n2\) \(nil\)$/],
    ['COMMAND DOCS crdt.del', /^1\) "crdt.del"\n2\) 1\) "summary"\n/],
    ['CRDT.MEMBERS', /"viewVersion"\n[\s\S]*"self"\n *\d\) \(integer\) 1\n[\s\S]*"alive"/],
    ['HELLO 2 NONSENSE', /^\(error\) ERR Syntax error in HELLO/],
    ['QUIT', 'OK'],
  ],
  errors: [
    ['CRDT.SADD typed x', '(integer) 1'],
    ['CRDT.INCR typed 1', `(error) ${WRONGTYPE}`],
    ['CRDT.GET typed', `(error) ${WRONGTYPE}`],
    ['CRDT.SET typed x', `(error) ${WRONGTYPE}`],
    ['CRDT.READ typed', `(error) ${WRONGTYPE}`],
    ['CRDT.INCR number 1', '(integer) 1'],
    ['CRDT.SADD number x', `(error) ${WRONGTYPE}`],
    ['CRDT.SMEMBERS number', `(error) ${WRONGTYPE}`],
    ['CRDT.SISMEMBER number x', `(error) ${WRONGTYPE}`],
    ['CRDT.INCR number one', '(error) ERR value is not an integer or out of range'],
    ['CRDT.INCR number 1.5', '(error) ERR value is not an integer or out of range'],
    ['CRDT.INCR number 9007199254740992', /^\(error\) ERR value is not an integer or out of range/],
    ['CRDT.INCR number 9007199254740991', /^\(error\) ERR counter_overflow /],
    ['CRDT.INCR number', "(error) ERR wrong number of arguments for 'crdt.incr' command"],
    ['CRDT.INCR number 1 OPID', /^\(error\) ERR syntax error/],
    ['CRDT.SADD number', "(error) ERR wrong number of arguments for 'crdt.sadd' command"],
    ['CRDT.INCR no/name 1', /^\(error\) ERR a name is /],
    ['CRDT.AFTER junk', /^\(error\) ERR invalid_token /],
    ['INCR number 1', "(error) ERR unknown command 'INCR'"],
    ['__proto__', "(error) ERR unknown command '__proto__'"],
    ['constructor', "(error) ERR unknown command 'constructor'"],
    ['CRDT.GET number', '(integer) 1'],
  ],
};

/** Exchanges that did not go as they should. */
function wrongOnes(exchanges: readonly Exchange[], options: readonly string[] = []): string[] {
  return exchanges.flatMap(([typed, shown]) => {
    const out = cli(typed, options);
    const isRight = typeof shown === 'string' ? out === shown : shown.test(out);
    return isRight ? [] : [`${typed}: ${out}, not ${shown}`];
  });
}

describe('redis-cli', () => {
  for (const [what, exchanges] of Object.entries(EXCHANGES)) {
    it(`gets Redis's own answers about ${what}`, () => {
      assert.deepEqual(wrongOnes(exchanges), []);
    });
  }

  it('notices a wrong answer', () => {
    assert.equal(wrongOnes([['CRDT.INCR planted 1', '(integer) 2']]).length, 1);
    assert.equal(wrongOnes([['CRDT.INCR planted x', '(integer) 2']]).length, 1);
  });

  it('shows maps, sets and nothing of RESP3', () => {
    const exchanges: Exchange[] = [
      ['CRDT.SADD three b a', '(integer) 2'],
      ['CRDT.SMEMBERS three', '1~ "a"\n2~ "b"'],
      ['CRDT.READ nobody', '(nil)'],
      ['HELLO 3', /^1# "server" => "memplane"\n[\s\S]*"proto" => \(integer\) 3/],
      ['CRDT.INCR three 1', `(error) ${WRONGTYPE}`],
    ];
    assert.deepEqual(wrongOnes(exchanges, ['-3']), []);
    assert.match(cli('HELLO 4'), /^\(error\) NOPROTO /);
  });

  it('is refused without the token, and with a wrong one', () => {
    const refused = '(error) NOAUTH Authentication required.';
    for (const typed of ['PING', 'CRDT.INCR c 1', 'CRDT.GET c', 'CRDT.TOKEN', 'HELLO 3']) {
      assert.equal(cli(typed, [], ''), refused, typed);
    }
    assert.match(cli('AUTH wrong', [], ''), /^\(error\) WRONGPASS /);
    assert.equal(cli(`AUTH ${TOKEN}`, [], ''), 'OK');
    assert.equal(cli(`AUTH anyone ${TOKEN}`, [], ''), 'OK');
  });

  it('ends with an error code where asked, as scripts need it', () => {
    const failed = redisProgram('redis-cli', ['-e', 'CRDT.INCR', 'typed', '1']);
    assert.deepEqual([failed.status, failed.error], [1, WRONGTYPE]);
    assert.equal(redisProgram('redis-cli', ['-e', 'CRDT.INCR', 'fine', '1']).status, 0);
  });

  it('loads in bulk, by lines and by --pipe', () => {
    const lines = Array.from({ length: 200 }, (_, i) => `CRDT.INCR lines 1 OPID l${i % 100}\n`);
    const { out } = redisProgram('redis-cli', [], lines.join(''));
    assert.equal(out.split('\n').length, 200);
    assert.equal(cli('CRDT.GET lines'), '(integer) 100');
    const frame = '*3\r\n$9\r\nCRDT.INCR\r\n$5\r\npiped\r\n$1\r\n2\r\n';
    const piped = redisProgram(
      'redis-cli',
      ['--pipe', '--pipe-timeout', '20'],
      frame.repeat(5_000),
    );
    assert.match(piped.out, /errors: 0, replies: 5000/, piped.error);
    assert.equal(cli('CRDT.GET piped'), '(integer) 10000');
  });
});

describe('redis-benchmark', () => {
  it('drives increments in pipelines, and every one of them is counted', () => {
    const many = ['-n', String(BENCHMARK_COMMANDS), '-P', '16', '-c', '20', '--csv'];
    const args = ['-a', TOKEN, ...many, 'CRDT.INCR', 'bench', '1'];
    const { status, out, error } = redisProgram('redis-benchmark', args);
    assert.equal(status, 0, error);
    const rate = /"([\d.]+)"/.exec(out.split('\n').at(-1) ?? '')?.[1];
    figure('redis-benchmark CRDT.INCR, durable', Math.round(Number(rate)), 'per second');
    // It may begin some more than it was told to; what it was answered is there.
    const counted = Number(cli('CRDT.GET bench').replace('(integer) ', ''));
    assert.ok(counted >= BENCHMARK_COMMANDS, `${counted} of ${BENCHMARK_COMMANDS}`);
  });
});

for (const protocol of [2, 3] as const) {
  describe(`ioredis over RESP${protocol}`, () => {
    const open = (options: object = {}) =>
      new Redis(plane.ports.resp, '127.0.0.1', {
        password: TOKEN,
        maxRetriesPerRequest: 0,
        retryStrategy: () => null,
        ...options,
      });
    const name = (text: string) => `${text}-${protocol}`;

    it('answers a pipeline in order, with its errors in their places', async () => {
      const redis = open();
      await redis.call('HELLO', String(protocol));
      const pipeline = redis.pipeline();
      pipeline.call('CRDT.SADD', name('set'), 'x');
      for (let i = 0; i < 1_000; i++) {
        pipeline.call('CRDT.INCR', name('many'), '1', 'OPID', `op-${i >> 1}`);
        if (i % 100 === 0) pipeline.call('CRDT.INCR', name('set'), '1');
      }
      const answers = (await pipeline.exec()) ?? [];
      const values = answers.flatMap(([error, value]) => (error === null ? [value] : []));
      assert.deepEqual(values, [1, ...Array.from({ length: 1_000 }, (_, i) => (i >> 1) + 1)]);
      const errors = answers.flatMap(([error]) => (error === null ? [] : [error.message]));
      assert.deepEqual(errors, Array<string>(10).fill(WRONGTYPE));
      redis.disconnect();
    });

    it('keeps any text, and refuses bytes that are none', async () => {
      const redis = open();
      await redis.call('HELLO', String(protocol));
      for (const text of ['', 'ü✓𝄞', 'a\r\n$3\r\nb', '\0', ' "quoted" ']) {
        assert.equal(await redis.call('CRDT.SET', name('text'), text), 'OK');
        assert.equal(await redis.call('CRDT.READ', name('text')), text);
        assert.equal(await redis.call('ECHO', text), text);
      }
      const bytes = Buffer.from([0xff, 0x00, 0xfe]);
      await assert.rejects(redis.call('CRDT.SET', name('text'), bytes), /valid UTF-8/);
      assert.deepEqual(await redis.callBuffer('ECHO', bytes), bytes);
      assert.equal(await redis.call('CRDT.READ', name('text')), ' "quoted" ');
      redis.disconnect();
    });

    it('reads on another connection what a token stands for', async () => {
      const [writer, reader] = [open(), open()];
      for (let i = 1; i <= 20; i++) {
        await writer.call('CRDT.INCR', name('tokened'), '1');
        const token = String(await writer.call('CRDT.TOKEN'));
        assert.equal(await reader.call('CRDT.AFTER', token), 'OK');
        assert.equal(await reader.call('CRDT.GET', name('tokened')), i);
      }
      writer.disconnect();
      reader.disconnect();
    });

    it('gives sets and nothing as the protocol has them', async () => {
      const redis = open();
      await redis.call('HELLO', String(protocol));
      await redis.call('CRDT.SADD', name('typed'), 'b', 'a');
      const members = (await redis.call('CRDT.SMEMBERS', name('typed'))) as Iterable<string>;
      assert.deepEqual([...members].sort(), ['a', 'b']);
      assert.equal(await redis.call('CRDT.READ', name('nobody')), null);
      redis.disconnect();
    });
  });
}

it('what was answered over RESP is there after kill -9, and over HTTP', async () => {
  const redis = new Redis(plane.ports.resp, '127.0.0.1', {
    password: TOKEN,
    maxRetriesPerRequest: 0,
    retryStrategy: () => null,
  });
  redis.on('error', () => {});
  assert.equal(await redis.call('CRDT.INCR', 'kept', '41', 'OPID', 'once'), 41);
  await plane.kill();
  redis.disconnect();
  plane = await plane.again();
  await eventually('the RESP port answers', 10_000, async () =>
    cli('CRDT.INCR kept 41 OPID once') === '(integer) 41' ? true : undefined,
  );
  const headers = { authorization: `Bearer ${TOKEN}` };
  const { body } = await call('GET', `${plane.crdt}/v1/counters/kept`, { headers });
  assert.deepEqual(body, { value: 41 });
});
