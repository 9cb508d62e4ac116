import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

test("the murmur2 vectors are those of Kafka's own Java class", () => {
  const script = fileURLToPath(new URL('murmur2/run.sh', import.meta.url));
  const { status, stdout, stderr } = spawnSync('sh', [script], { encoding: 'utf8' });
  assert.equal(status, 0, stdout + stderr);
  const count = Number(/murmur2: +(\d+) vectors, equal/.exec(stdout)?.[1] ?? 0);
  assert.ok(count >= 1_000, stdout);
});
