import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { newRecord } from '../contract.ts';
import { acquireDirectoryLock } from '../directory-lock.ts';
import { openEmbeddedLog, openEmbeddedReader } from './open.ts';

const testing = fileURLToPath(new URL('../testing/', import.meta.url));
const ROUNDS = Number(process.env['MEMPLANE_LOG_KILL_ROUNDS'] ?? 4);

function newDir(): string {
  return mkdtempSync(path.join(tmpdir(), 'memplane-log-'));
}

/** Lets a process append until it has had some answers, and kills it in the middle. */
async function killUnderLoad(dir: string, first: number, answers: number): Promise<string[]> {
  const child = spawn(process.execPath, [path.join(testing, 'kill-load.ts'), dir, String(first)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const lines: string[] = [];
  const ended = once(child, 'exit');
  for await (const line of createInterface({ input: child.stdout })) {
    lines.push(line);
    if (lines.length === answers) child.kill('SIGKILL');
  }
  const [, signal] = await ended;
  assert.equal(signal, 'SIGKILL');
  return lines;
}

test('kill -9 under load: all that was acknowledged is there once, and the log goes on', async () => {
  const dir = newDir();
  const acknowledged = new Map<string, number>();
  let first = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const lines = await killUnderLoad(dir, first, 400 + 531 * round);
    for (const line of lines) {
      const [p, offset, n] = line.split(' ').map(Number) as [number, number, number];
      assert.ok(!acknowledged.has(`${p} ${offset}`), 'no offset is given twice');
      acknowledged.set(`${p} ${offset}`, n);
    }
    const { writer, shared } = await openEmbeddedLog({ dir });
    const reader = await openEmbeddedReader({ dir, shared });
    let found = 0;
    let highest = 0;
    for (let p = 0; p < 4; p++) {
      const { end } = await reader.bounds(p);
      for (let next = 0; next < end; ) {
        for (const record of await reader.read(p, next, { maxBytes: 1024 * 1024 })) {
          const n = Number(record.key.slice(5));
          const expected = acknowledged.get(`${p} ${record.offset}`);
          if (expected !== undefined) {
            assert.equal(n, expected);
            found += 1;
          }
          assert.ok(record.value.equals(Buffer.alloc(200 + (n % 300), n)));
          highest = Math.max(highest, n);
          next = record.offset + 1;
        }
      }
    }
    assert.equal(found, acknowledged.size, `acknowledged records lost in round ${round}`);
    first = highest + 1000;
    await reader.close();
    await writer.close();
  }
  rmSync(dir, { recursive: true });
});

test('a reader in another thread is woken by appends', async () => {
  const dir = newDir();
  const { writer, shared } = await openEmbeddedLog({ dir, partitions: 1 });
  const worker = new Worker(new URL('../testing/follow-worker.ts', import.meta.url), {
    workerData: { dir, shared, until: 59 },
  });
  const seen: unknown[] = [];
  worker.on('message', (message) => seen.push(message));
  const ended = once(worker, 'exit');
  await once(worker, 'message');
  for (let n = 0; n < 60; n++) {
    await writer.append([newRecord(0, n, 'x')]);
    // each of them has to wake it: the next one is not sent before
    while (seen.length < n + 2) await once(worker, 'message');
  }
  await ended;
  assert.deepEqual(seen, ['ready', ...Array.from({ length: 60 }, (_, i) => i)]);
  await writer.close();
  rmSync(dir, { recursive: true });
});

test('a second writer on the folder is refused with words, and leaves the first alone', async () => {
  const dir = newDir();
  const { writer } = await openEmbeddedLog({ dir, partitions: 1 });
  const words = new RegExp(`in use by another process \\(pid ${process.pid}\\)`);
  await assert.rejects(openEmbeddedLog({ dir }), {
    code: 'storage_unavailable',
    message: words,
    extra: { holderPid: process.pid },
  });
  const program = `
    import { openEmbeddedLog } from ${JSON.stringify(new URL('./open.ts', import.meta.url).href)};
    await openEmbeddedLog({ dir: ${JSON.stringify(dir)} }).then(
      () => console.log('opened'),
      (error) => console.log(error.code, error.message),
    );`;
  const answer = execFileSync(process.execPath, ['--input-type=module', '-e', program], {
    encoding: 'utf8',
  });
  assert.match(answer, /^storage_unavailable /);
  assert.match(answer, words);
  assert.deepEqual(await writer.append([newRecord(0, 1, 'still here')]), [0]);
  await writer.close();
  const again = await openEmbeddedLog({ dir });
  await again.writer.close();
  rmSync(dir, { recursive: true });
});

test('a lock can be released and taken again; a folder that can not be made is said', () => {
  const dir = newDir();
  const lock = acquireDirectoryLock(dir);
  assert.throws(() => acquireDirectoryLock(dir), { code: 'storage_unavailable' });
  lock.release();
  lock.release();
  acquireDirectoryLock(dir).release();
  const file = path.join(dir, 'file');
  writeFileSync(file, '');
  assert.throws(() => acquireDirectoryLock(path.join(file, 'folder')), {
    code: 'storage_unavailable',
    message: /can not be written/,
  });
  rmSync(dir, { recursive: true });
});
