import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { getPriority, tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { threadsNamed } from '@memplane/runtime/thread-priority';
import { COMPACTION_NICENESS, COMPACTION_THREAD } from './compaction-priority.ts';
import { RocksStore } from './store.ts';

test('compaction yields to the threads that answer, which keep their priority', {
  skip: process.platform === 'linux' ? false : 'threads have no niceness of their own here',
}, async () => {
  const before = getPriority();
  const dir = mkdtempSync(join(tmpdir(), 'memplane-priority-'));
  const store = await RocksStore.open(dir);
  try {
    const threads = threadsNamed(COMPACTION_THREAD);
    assert.ok(threads.length > 0);
    for (const thread of threads) {
      assert.ok(getPriority(thread) >= Math.max(before, COMPACTION_NICENESS));
    }
    assert.equal(getPriority(), before);
  } finally {
    await store.close();
    rmSync(dir, { recursive: true });
  }
});
