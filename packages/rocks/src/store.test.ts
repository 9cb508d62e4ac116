import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { MemplaneError } from '@memplane/contracts';
import fc from 'fast-check';
import { RocksStore } from './index.ts';

let base: string;
let count = 0;
const folder = () => join(base, `store-${count++}`);
const bytes = (text: string) => Buffer.from(text);
const coded = (code: string) => (error: unknown) =>
  error instanceof MemplaneError && error.code === code;

before(async () => {
  base = await mkdtemp(join(tmpdir(), 'memplane-rocks-'));
});
after(() => rm(base, { recursive: true, force: true }));

test('a store behaves as a sorted map does, across restarts', async () => {
  const key = fc.constantFrom('', 'a', 'aa', 'ab', 'b', 'ba', 'c', 'd\u0000', 'e');
  const change = fc.oneof(
    fc.record({ op: fc.constant('put' as const), key, value: fc.string({ maxLength: 5 }) }),
    fc.record({ op: fc.constant('delete' as const), key }),
    fc.record({ op: fc.constant('range' as const), key, end: key }),
  );
  const scan = fc.record(
    {
      gt: key.filter((k) => k !== ''),
      gte: key,
      lt: key.filter((k) => k !== ''),
      lte: key.filter((k) => k !== ''),
      reverse: fc.boolean(),
      limit: fc.nat(10),
    },
    { requiredKeys: ['limit'] },
  );
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.array(change, { maxLength: 6 }), { maxLength: 6 }),
      fc.array(scan, { maxLength: 4 }),
      fc.boolean(),
      async (batches, scans, restart) => {
        const dir = folder();
        let store = await RocksStore.open(dir);
        const model = new Map<string, string>();
        for (const changes of batches) {
          const batch = store.batch();
          for (const it of changes) {
            if (it.op === 'put') {
              batch.put(bytes(it.key), bytes(it.value));
              model.set(it.key, it.value);
            } else if (it.op === 'delete') {
              batch.delete(bytes(it.key));
              model.delete(it.key);
            } else if (it.key < it.end) {
              batch.deleteRange(bytes(it.key), bytes(it.end));
              for (const k of [...model.keys()]) if (k >= it.key && k < it.end) model.delete(k);
            }
          }
          await store.write(batch);
        }
        if (restart) {
          await store.close();
          store = await RocksStore.open(dir);
        }
        const keys = ['', 'a', 'b', 'zz', 'e'];
        const values = await store.getMany(keys.map(bytes));
        assert.deepEqual(
          values.map((value) => value?.toString()),
          keys.map((k) => model.get(k)),
        );
        for (const it of scans) {
          const expected = [...model]
            .sort(([x], [y]) => Buffer.compare(bytes(x), bytes(y)))
            .filter(([k]) => (it.gt === undefined || k > it.gt) && (!it.gte || k >= it.gte))
            .filter(([k]) => (it.lt === undefined || k < it.lt) && (!it.lte || k <= it.lte));
          if (it.reverse) expected.reverse();
          const { gt, gte, lt, lte, ...rest } = it;
          const options = {
            ...rest,
            ...(gt === undefined ? {} : { gt: bytes(gt) }),
            ...(gte === undefined ? {} : { gte: bytes(gte) }),
            ...(lt === undefined ? {} : { lt: bytes(lt) }),
            ...(lte === undefined ? {} : { lte: bytes(lte) }),
          };
          const wanted = expected.slice(0, it.limit);
          const rows = await store.scanAll({ ...options, chunkRows: 2 });
          const show = (list: typeof rows) => list.map((r) => [String(r.key), String(r.value)]);
          assert.deepEqual(show(rows), wanted);
          const chunks = [];
          for await (const chunk of store.scan({ ...options, chunkRows: 3 })) chunks.push(...chunk);
          assert.deepEqual(show(chunks), wanted);
        }
        await store.close();
      },
    ),
    { numRuns: 60 },
  );
});

test('steps of a scan keep to about so many bytes, by the rows of the step before', async () => {
  const store = await RocksStore.open(folder(), { scanChunkRows: 4 });
  const batch = store.batch();
  const sizes = [10, 10, 10, 10, 990, 990, 990, 10, 10, 10, 10, 10];
  for (const [i, size] of sizes.entries()) {
    batch.put(Buffer.from([i]), Buffer.alloc(size - 1));
  }
  await store.write(batch);
  const steps: number[] = [];
  for await (const rows of store.scan({ chunkRows: 6, chunkBytes: 1_000 })) steps.push(rows.length);
  assert.deepEqual(steps, [4, 6, 1, 1]);
  const steady: number[] = [];
  for await (const rows of store.scan({ chunkBytes: 1 })) steady.push(rows.length);
  assert.deepEqual(steady, [4, 1, 1, 1, 1, 1, 1, 1, 1]);
  await store.close();
});

test('a snapshot keeps its state, also when it is closed during a read', async () => {
  const store = await RocksStore.open(folder());
  await store.write(store.batch().put(bytes('a'), bytes('1')).put(bytes('b'), bytes('1')));
  const snapshot = store.snapshot();
  await store.write(store.batch().put(bytes('a'), bytes('2')).delete(bytes('b')));
  assert.equal(String(await store.get(bytes('a'), snapshot)), '1');
  assert.equal((await store.scanAll({ limit: 9, snapshot })).length, 2);
  const pending = store.getMany([bytes('a'), bytes('b')], snapshot);
  snapshot.close();
  snapshot.close();
  assert.deepEqual((await pending).map(String), ['1', '1']);
  await assert.rejects(store.get(bytes('a'), snapshot), coded('internal'));
  assert.equal(String(await store.get(bytes('a'))), '2');
  await store.close();
});

test('closing ends scans that nobody pulls, and later calls are refused', async () => {
  const store = await RocksStore.open(folder());
  const batch = store.batch();
  for (let i = 0; i < 100; i++) batch.put(bytes(`k${i}`), bytes('v'));
  await store.write(batch);
  store.snapshot();
  const scan = store.scan({ chunkRows: 10, values: false });
  const first = await scan.next();
  assert.equal(first.value?.length, 10);
  assert.equal(first.value?.[0]?.value.length, 0);
  await store.close();
  await store.close();
  await assert.rejects(scan.next(), coded('shutting_down'));
  await assert.rejects(store.get(bytes('k1')), coded('shutting_down'));
  await assert.rejects(store.write(batch), coded('shutting_down'));
});

test('writers that overlap share their disk syncs', async () => {
  const store = await RocksStore.open(folder());
  const write = (i: number) =>
    store.write(store.batch().put(bytes(`k${i}`), bytes('v')), { sync: true });
  await Promise.all(Array.from({ length: 64 }, (_, i) => write(i)));
  assert.ok(store.syncRuns < 64, `${store.syncRuns} syncs for 64 writes`);
  const before = store.syncRuns;
  await store.sync();
  assert.equal(store.syncRuns, before + 1);
  await store.close();
});

test('synced writes go on through changes of the write-ahead file', async () => {
  const dir = folder();
  const store = await RocksStore.open(dir, { writeBufferBytes: 64 * 1024 });
  for (let i = 0; i < 60; i++) {
    const batch = store.batch().put(bytes(`k${i}`), Buffer.alloc(8_000, i));
    await store.write(batch, { sync: i % 3 === 0 });
  }
  await store.flush();
  await store.write(store.batch().put(bytes('last'), bytes('v')), { sync: true });
  await store.close();
  const again = await RocksStore.open(dir, { readOnly: true });
  assert.equal((await again.scanAll({ limit: 100, values: false })).length, 61);
  await assert.rejects(
    again.write(again.batch().put(bytes('x'), bytes('y'))),
    coded('storage_unavailable'),
  );
  await again.close();
});

test('what was answered is there after kill -9', async () => {
  const dir = folder();
  const program = `
    import { RocksStore } from ${JSON.stringify(new URL('./index.ts', import.meta.url).href)};
    const store = await RocksStore.open(${JSON.stringify(dir)}, { writeBufferBytes: 65536 });
    for (let i = 0; ; i++) {
      const value = Buffer.alloc(1000, i);
      await store.write(store.batch().put(Buffer.from('a' + i), value).put(Buffer.from('b' + i), value), { sync: i % 2 === 0 });
      process.stdout.write(i + '\\n');
    }`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let text = '';
  child.stdout.setEncoding('utf8');
  child.stdout.on('data', (chunk: string) => {
    text += chunk;
    if (text.split('\n').length > 200) child.kill('SIGKILL');
  });
  await once(child, 'close');
  const acknowledged = text.split('\n').slice(0, -1).map(Number);
  const store = await RocksStore.open(dir);
  for (const i of acknowledged) {
    const found = await store.getMany([bytes(`a${i}`), bytes(`b${i}`)]);
    for (const value of found) assert.deepEqual(value, Buffer.alloc(1000, i));
  }
  const rows = (await store.scanAll({ limit: 10_000, values: false })).map((r) => String(r.key));
  for (const key of rows) {
    assert.ok(rows.includes((key.startsWith('a') ? 'b' : 'a') + key.slice(1)), 'half a batch');
  }
  await store.close();
});

test('it works in a worker thread, and the thread may end with the store open', async () => {
  const dir = folder();
  const program = `
    const { parentPort } = require('node:worker_threads');
    import(${JSON.stringify(new URL('./index.ts', import.meta.url).href)}).then(async ({ RocksStore }) => {
      const store = await RocksStore.open(${JSON.stringify(dir)});
      await store.write(store.batch().put(Buffer.from('k'), Buffer.from('v')), { sync: true });
      parentPort.postMessage(String(await store.get(Buffer.from('k'))));
    });`;
  const worker = new Worker(program, { eval: true });
  const [answer] = await once(worker, 'message');
  assert.equal(answer, 'v');
  await worker.terminate();
  const store = await RocksStore.open(dir);
  assert.equal(String(await store.get(bytes('k'))), 'v');
  await store.close();
});

test('a second opening is refused with words; the first goes on', async () => {
  const dir = folder();
  const store = await RocksStore.open(dir);
  await assert.rejects(
    RocksStore.open(dir),
    (error) =>
      coded('storage_unavailable')(error) && (error as MemplaneError).extra['locked'] === true,
  );
  await store.write(store.batch().put(bytes('a'), bytes('1')));
  await store.close();
});

test('a folder that can not be used, and a damaged table, are said clearly', async () => {
  const dir = folder();
  await writeFile(dir, 'a file, not a folder');
  await assert.rejects(RocksStore.open(dir), coded('storage_unavailable'));
  const damaged = folder();
  const store = await RocksStore.open(damaged);
  await store.write(store.batch().put(bytes('a'), Buffer.alloc(20_000, 'x')));
  await store.flush();
  await store.close();
  const table = (await readdir(damaged)).find((name) => name.endsWith('.sst'));
  const path = join(damaged, String(table));
  const content = await readFile(path);
  content.writeUInt8(content.readUInt8(50) ^ 1, 50);
  await writeFile(path, content);
  const again = await RocksStore.open(damaged);
  await assert.rejects(again.get(bytes('a')), coded('storage_damaged'));
  await again.close();
});

test('an empty bound, which the binding would take for none, is refused', async () => {
  const store = await RocksStore.open(folder());
  for (const bound of ['gt', 'lt', 'lte']) {
    await assert.rejects(store.scanAll({ [bound]: Buffer.alloc(0), limit: 1 }), MemplaneError);
  }
  await store.close();
});

test('values with files of their own are read, replaced, scanned and counted in sizes', async () => {
  const dir = folder();
  const options = { blobValueBytesMin: 1_000 };
  const value = (n: number) => Buffer.alloc(n % 2 === 0 ? 20_000 : 100, `${n} `);
  let store = await RocksStore.open(dir, options);
  for (const from of [0, 100]) {
    const batch = store.batch();
    for (let n = 0; n < 100; n++) batch.put(bytes(`k${n + 100}`), value(n + from));
    await store.write(batch);
    await store.flush();
  }
  await store.compact();
  const range = { gte: bytes('k'), lt: bytes('l') };
  const [size = 0] = await store.approximateSizes([[range]]);
  assert.ok(size > 1_000_000 && size < 4_000_000, `${size} bytes`);
  // What is still in memory counts once, however small the files of the keys are.
  await store.write(store.batch().put(bytes('kept'), value(0)));
  const [withMemory = 0] = await store.approximateSizes([[range]]);
  assert.ok(withMemory > size && withMemory < size + 1_000_000, `${withMemory} bytes`);
  await store.write(store.batch().delete(bytes('kept')));
  await store.close();
  store = await RocksStore.open(dir, options);
  const rows = await store.scanAll({ gte: bytes('k'), lt: bytes('l'), limit: 1_000 });
  assert.deepEqual(
    rows.map((row) => row.value),
    Array.from({ length: 100 }, (_, n) => value(n + 100)),
  );
  assert.deepEqual(await store.get(bytes('k102')), value(102));
  await store.close();
});

test('sizes are estimated and properties can be read', async () => {
  const store = await RocksStore.open(folder());
  const batch = store.batch().put(bytes('a'), Buffer.alloc(100_000, 'x'));
  assert.equal(batch.size, 1);
  assert.equal(batch.byteLength, 100_001);
  await store.write(batch);
  await store.flush();
  await store.compact();
  const range = { gte: bytes('a'), lt: bytes('b') };
  const [one = 0, two = 0, none] = await store.approximateSizes([[range], [range, range], []]);
  assert.ok(one > 0);
  assert.equal(two, 2 * one);
  assert.equal(none, 0);
  assert.equal(await store.property('rocksdb.num-snapshots'), '0');
  assert.equal(await store.property('no.such.property'), null);
  await store.close();
});
