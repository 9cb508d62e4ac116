import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { MemplaneError } from '@memplane/contracts';
import type { BlobStore } from './port.ts';

const coded = (code: string) => (error: unknown) =>
  error instanceof MemplaneError && error.code === code;

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

async function* chunksOf(...parts: string[]): AsyncGenerator<Uint8Array> {
  for (const part of parts) yield Buffer.from(part);
}

/**
 * What every driver of {@link BlobStore} must do.
 * @param open makes an empty store that accepts blobs of up to 1 MiB and ranges of up to 256 KiB
 */
export function blobStoreContract(driver: string, open: () => Promise<BlobStore>): void {
  describe(`blob store contract: ${driver}`, () => {
    contents(open);
    failures(open);
    names(open);
  });
}

function contents(open: () => Promise<BlobStore>): void {
  test('a blob comes back as it was put, whole and in ranges', async () => {
    const store = await open();
    assert.deepEqual(await store.put('a/b.bin', Buffer.from('hello')), { written: true });
    assert.equal(String(await store.get('a/b.bin')), 'hello');
    const range = { start: 1, length: 3 };
    assert.equal(String(await store.get('a/b.bin', { range })), 'ell');
    assert.deepEqual(await store.head('a/b.bin'), { name: 'a/b.bin', sizeBytes: 5 });
    await store.put('empty', Buffer.alloc(0));
    assert.equal((await store.get('empty')).length, 0);
    assert.equal((await store.head('empty'))?.sizeBytes, 0);
    for (const wrong of [
      { start: 3, length: 3 },
      { start: -1, length: 1 },
    ]) {
      await assert.rejects(store.get('a/b.bin', { range: wrong }), coded('invalid_request'));
    }
  });

  test('streams in and out', async () => {
    const store = await open();
    await store.put('s', chunksOf('one', '', 'two'));
    assert.equal(Buffer.concat(await collect(store.stream('s'))).toString(), 'onetwo');
    const range = { start: 2, length: 2 };
    assert.equal(Buffer.concat(await collect(store.stream('s', { range }))).toString(), 'et');
    const large = Buffer.alloc(600 * 1024, 'abc');
    await store.put('large', large);
    assert.deepEqual(Buffer.concat(await collect(store.stream('large'))), large);
    await assert.rejects(store.get('large'), coded('body_too_large'));
  });

  test('replaces, unless the blob is to be absent', async () => {
    const store = await open();
    await store.put('x', Buffer.from('1'));
    await store.put('x', Buffer.from('2'));
    assert.equal(String(await store.get('x')), '2');
    const again = await store.put('x', Buffer.from('3'), { ifAbsent: true });
    assert.deepEqual(again, { written: false });
    assert.equal(String(await store.get('x')), '2');
    const racers = await Promise.all(
      ['p', 'q', 'r'].map((text) => store.put('y', Buffer.from(text), { ifAbsent: true })),
    );
    assert.equal(racers.filter((result) => result.written).length, 1);
  });
}

function failures(open: () => Promise<BlobStore>): void {
  test('a put that fails leaves nothing, and nothing of it can be seen before it ends', async () => {
    const store = await open();
    await store.put('kept', Buffer.from('old'));
    async function* failing(): AsyncGenerator<Uint8Array> {
      yield Buffer.from('half');
      assert.equal(await store.head('new'), undefined);
      assert.equal(String(await store.get('kept')), 'old');
      throw new MemplaneError('overloaded', 'the source broke');
    }
    await assert.rejects(store.put('new', failing()), coded('overloaded'));
    await assert.rejects(store.put('kept', failing()), coded('overloaded'));
    assert.equal(String(await store.get('kept')), 'old');
    const tooLarge = store.put('huge', Buffer.alloc(1024 * 1024 + 1));
    await assert.rejects(tooLarge, coded('body_too_large'));
    const names = (await collect(store.list(''))).map((blob) => blob.name);
    assert.deepEqual(names, ['kept']);
  });

  test('what is not there is said to be so', async () => {
    const store = await open();
    await store.put('dir/file', Buffer.from('1'));
    for (const name of ['no', 'dir', 'dir/no', 'dir/file/no']) {
      assert.equal(await store.head(name), undefined, name);
      await assert.rejects(store.get(name), coded('not_found'), name);
      await assert.rejects(collect(store.stream(name)), coded('not_found'), name);
    }
    await store.delete('no');
    await store.delete('dir/file');
    await store.delete('dir/file');
    assert.equal(await store.head('dir/file'), undefined);
  });
}

function names(open: () => Promise<BlobStore>): void {
  test('lists in byte order, by prefix, from a name on', async () => {
    const store = await open();
    const names = ['a-b', 'a/b', 'a/c/d', 'a/c0', 'a0', 'b/1', 'b/10', 'b/2', 'Z'];
    for (const name of names) await store.put(name, Buffer.from(name));
    const list = async (prefix: string, options = {}) =>
      (await collect(store.list(prefix, options))).map((blob) => blob.name);
    assert.deepEqual(await list(''), [...names].sort());
    assert.deepEqual(await list('b/1'), ['b/1', 'b/10']);
    assert.deepEqual(await list('a/'), ['a/b', 'a/c/d', 'a/c0']);
    assert.deepEqual(await list('a'), ['a-b', 'a/b', 'a/c/d', 'a/c0', 'a0']);
    assert.deepEqual(await list('', { after: 'a/c/d', limit: 2 }), ['a/c0', 'a0']);
    assert.deepEqual(await list('none/'), []);
    assert.deepEqual(await collect(store.list('b/2')), [{ name: 'b/2', sizeBytes: 3 }]);
  });

  test('names that could lead elsewhere are refused', async () => {
    const store = await open();
    const wrong = [
      '',
      '/a',
      'a/',
      'a//b',
      '..',
      'a/../b',
      '.',
      'a/./b',
      '.hidden',
      'a b',
      'ä',
      'a\\b',
    ];
    for (const name of [...wrong, 'a\u0000', 'x'.repeat(513)]) {
      await assert.rejects(store.put(name, Buffer.from('1')), coded('invalid_request'), name);
      await assert.rejects(store.get(name), coded('invalid_request'), name);
      await assert.rejects(store.delete(name), coded('invalid_request'), name);
    }
    for (const prefix of ['..', '/', 'a/../', '.unfinished/']) {
      await assert.rejects(collect(store.list(prefix)), coded('invalid_request'), prefix);
    }
  });
}
