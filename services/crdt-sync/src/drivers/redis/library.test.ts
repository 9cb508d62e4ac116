import assert from 'node:assert/strict';
import { hash } from 'node:crypto';
import { test } from 'node:test';
import { LIBRARY_REVISION, librarySource } from './library.ts';

test('a revision is one source text: raise LIBRARY_REVISION with any change of it', () => {
  const digest = hash('sha256', librarySource(), 'hex').slice(0, 16);
  assert.deepEqual([LIBRARY_REVISION, digest], [1, '6ee7afa4f95910a4']);
});
