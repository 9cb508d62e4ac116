import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { MemplaneError } from '@memplane/contracts';
import { blobStoreContract } from './contract.ts';
import { FileBlobStore } from './index.ts';

let base: string;
let count = 0;
const folder = () => join(base, `blobs-${count++}`);

before(async () => {
  base = await mkdtemp(join(tmpdir(), 'memplane-blobs-'));
});
after(() => rm(base, { recursive: true, force: true }));

blobStoreContract('files', () =>
  FileBlobStore.open(folder(), {
    blobBytesMax: 1024 ** 2,
    getBytesMax: 256 * 1024,
    chunkBytes: 999,
  }),
);

test('after kill -9 every blob is there whole or not at all, and what was answered is there', async () => {
  const dir = folder();
  const program = `
    import { FileBlobStore } from ${JSON.stringify(new URL('./index.ts', import.meta.url).href)};
    const store = await FileBlobStore.open(${JSON.stringify(dir)});
    for (let i = 0; ; i++) {
      await store.put('p' + (i % 3) + '/b' + i, Buffer.alloc(100_000, 'x' + i));
      process.stdout.write(i + '\\n');
    }`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let text = '';
  child.stdout.setEncoding('utf8');
  child.stdout.on('data', (chunk: string) => {
    text += chunk;
    if (text.split('\n').length > 20) child.kill('SIGKILL');
  });
  await once(child, 'close');
  const answered = text.split('\n').slice(0, -1).map(Number);
  const store = await FileBlobStore.open(dir);
  await store.recover();
  assert.deepEqual(await readdir(join(dir, '.unfinished')), []);
  const found = new Set<number>();
  for await (const { name, sizeBytes } of store.list('')) {
    assert.equal(sizeBytes, 100_000);
    found.add(Number(name.split('/b')[1]));
  }
  for (const i of answered) {
    assert.ok(found.has(i));
    assert.deepEqual(await store.get(`p${i % 3}/b${i}`), Buffer.alloc(100_000, `x${i}`));
  }
});

test('a root that is no folder is said clearly', async () => {
  const root = folder();
  await writeFile(root, 'a file');
  await assert.rejects(FileBlobStore.open(root), MemplaneError);
});
