import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { after, afterEach, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { ListMultipartUploadsCommand, S3Client } from '@aws-sdk/client-s3';
import { MemplaneError } from '@memplane/contracts';
import { freePorts, TearingProxy } from '@memplane/testkit';
import { S3BlobStore, type S3Options } from './index.ts';
import { S3Server } from './testing.ts';

const MIB = 1024 ** 2;
const coded = (code: string) => (error: unknown) =>
  error instanceof MemplaneError && error.code === code;

let server: S3Server;
let options: S3Options;
let proxy: TearingProxy;
let store: S3BlobStore;

before(async () => {
  server = await S3Server.start();
  options = await server.makeBucket();
  const [port = 0] = await freePorts(1);
  proxy = await TearingProxy.start(port, server.port);
  store = await S3BlobStore.open({
    ...options,
    endpoint: `http://127.0.0.1:${port}`,
    requestTimeoutMs: 500,
    partBytes: 5 * MIB,
  });
});
after(async () => {
  store.close();
  await proxy.close();
  await server.stop();
});
afterEach(() => proxy.release());

async function* content(...chunks: Buffer[]): AsyncGenerator<Buffer> {
  yield* chunks;
}

async function uploadsUnderWay(): Promise<number> {
  const { endpoint, accessKey, secretKey } = options;
  const client = new S3Client({
    endpoint: endpoint ?? '',
    forcePathStyle: true,
    region: 'us-east-1',
    credentials: { accessKeyId: accessKey, secretAccessKey: secretKey },
  });
  try {
    const list = new ListMultipartUploadsCommand({ Bucket: options.bucket });
    return (await client.send(list)).Uploads?.length ?? 0;
  } finally {
    client.destroy();
  }
}

test('a put whose answer was lost is told from that of another', async () => {
  await store.head('warm');
  proxy.loseAnswers();
  const lost = proxy.torn;
  assert.deepEqual(await store.put('mine', Buffer.from('1'), { ifAbsent: true }), {
    written: true,
  });
  assert.ok(proxy.torn > lost, 'no answer was lost');
  assert.deepEqual(await store.put('mine', Buffer.from('2'), { ifAbsent: true }), {
    written: false,
  });
  proxy.loseAnswers();
  assert.deepEqual(await store.put('mine', Buffer.from('3'), { ifAbsent: true }), {
    written: false,
  });
  assert.equal(String(await store.get('mine')), '1');
});

test('in parts, too, and no parts are left', async () => {
  const parts = [randomBytes(6 * MIB), randomBytes(6 * MIB)];
  for (const ifAbsent of [true, false]) {
    proxy.loseAnswerWith('CompleteMultipartUploadResult');
    const lost = proxy.torn;
    const result = await store.put(`large-${ifAbsent}`, content(...parts), { ifAbsent });
    assert.deepEqual(result, { written: true });
    assert.ok(proxy.torn > lost, 'no answer was lost');
    assert.deepEqual(await store.get(`large-${ifAbsent}`), Buffer.concat(parts));
  }
  const second = await store.put('large-true', content(...parts), { ifAbsent: true });
  assert.deepEqual(second, { written: false });
  async function* failing(): AsyncGenerator<Buffer> {
    yield* parts;
    throw new MemplaneError('overloaded', 'the source broke');
  }
  await assert.rejects(store.put('never', failing()), coded('overloaded'));
  assert.equal(await store.head('never'), undefined);
  assert.equal(await uploadsUnderWay(), 0);
});

test('a reading that breaks off is taken up where it broke', async () => {
  const bytes = randomBytes(9 * MIB);
  await store.put('long', bytes);
  for (const range of [undefined, { start: 1000, length: 8 * MIB }]) {
    const chunks: Buffer[] = [];
    let read = 0;
    let tears = 0;
    for await (const chunk of store.stream('long', range === undefined ? {} : { range })) {
      chunks.push(chunk);
      read += chunk.length;
      if (read > (tears + 1) * 2 * MIB && tears++ < 3) proxy.tear();
    }
    assert.ok(tears >= 3);
    const { start, length } = range ?? { start: 0, length: bytes.length };
    assert.deepEqual(Buffer.concat(chunks), bytes.subarray(start, start + length));
  }
});

test('what was replaced while it was read is not mixed', async () => {
  await store.put('moving', randomBytes(9 * MIB));
  let isReplaced = false;
  const reading = (async () => {
    for await (const _ of store.stream('moving')) {
      if (isReplaced) continue;
      isReplaced = true;
      await store.put('moving', randomBytes(9 * MIB));
      proxy.tear();
    }
  })();
  await assert.rejects(reading, coded('storage_unavailable'));
});

test('a storage that does not answer is given up within the bound, and found again', async () => {
  await store.put('kept', Buffer.from('1'));
  proxy.hold();
  const started = performance.now();
  for (const attempt of [
    () => store.put('kept', Buffer.from('2')),
    () => store.get('kept'),
    () => store.head('kept'),
    () => store.delete('kept'),
    () => store.list('')[Symbol.asyncIterator]().next(),
  ]) {
    await assert.rejects(attempt(), (error) => {
      assert.ok(error instanceof MemplaneError && error.transient, String(error));
      return error.code === 'storage_unavailable';
    });
  }
  const tookMs = performance.now() - started;
  assert.ok(tookMs < 15_000, `${tookMs} ms`);
  proxy.tear();
  proxy.release();
  assert.equal(String(await store.get('kept')).length, 1);
});

test('a reading that falls silent is given up', async () => {
  await store.put('silent', randomBytes(9 * MIB));
  const reading = (async () => {
    for await (const _ of store.stream('silent')) proxy.hold();
  })();
  const started = performance.now();
  await assert.rejects(reading, coded('storage_unavailable'));
  assert.ok(performance.now() - started < 5_000);
  proxy.tear();
});

test('wrong keys and a missing bucket are said so at once', async () => {
  const open = (wrong: Partial<S3Options>) => S3BlobStore.open({ ...options, ...wrong });
  const refused = (error: unknown) =>
    error instanceof MemplaneError && ['unauthorized', 'forbidden'].includes(error.code);
  await assert.rejects(open({ secretKey: 'wrong' }), refused);
  await assert.rejects(open({ accessKey: 'nobody' }), refused);
  await assert.rejects(open({ bucket: 'no-such-bucket' }), coded('dependency_unavailable'));
});

test('after kill -9 of server and writer, blobs are there whole or not at all', async () => {
  const program = `
    import { S3BlobStore } from ${JSON.stringify(new URL('./index.ts', import.meta.url).href)};
    const options = JSON.parse(process.env.S3_OPTIONS);
    const store = await S3BlobStore.open(options);
    for (let i = 0; ; i++) {
      const bytes = i % 4 === 3 ? 6_000_000 : 100_000;
      await store.put('crash/b' + i, Buffer.alloc(bytes, 'x' + i));
      process.stdout.write(i + '\\n');
    }`;
  const child: ChildProcess = spawn(process.execPath, ['--input-type=module', '-e', program], {
    env: {
      ...process.env,
      S3_OPTIONS: JSON.stringify({ ...options, partBytes: 5 * MIB, attempts_max: 8 }),
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let text = '';
  child.stdout?.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk;
  });
  const answers = () => text.split('\n').slice(0, -1).map(Number);
  const until = async (count: number) => {
    while (answers().length < count && child.exitCode === null) await sleep(5);
  };
  await until(8);
  await server.process.kill();
  await server.process.start();
  await until(20);
  child.kill('SIGKILL');
  await once(child, 'close');
  const answered = answers();
  assert.ok(answered.length >= 20, 'the writer gave up');
  const found = new Set<number>();
  for await (const { name, sizeBytes } of store.list('crash/')) {
    const i = Number(name.slice('crash/b'.length));
    assert.equal(sizeBytes, i % 4 === 3 ? 6_000_000 : 100_000);
    found.add(i);
  }
  for (const i of answered) {
    assert.ok(found.has(i), `blob ${i} was lost`);
    const expected = Buffer.alloc(i % 4 === 3 ? 6_000_000 : 100_000, `x${i}`);
    assert.deepEqual(await store.get(`crash/b${i}`), expected);
  }
  await store.recover(60_000, Date.now());
  await store.recover(0, Date.now() + 1_000);
  assert.equal(await uploadsUnderWay(), 0);
});
