import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { planeEntry } from '@memplane/testkit';

test('the demo tells what is so', async () => {
  const { stdout } = await promisify(execFile)(process.execPath, [planeEntry(), 'demo', '--json'], {
    timeout: 60_000,
  });
  const facts = JSON.parse(stdout) as Record<string, unknown>;
  assert.deepEqual(facts['viewAttributes'], {
    city: 'Lisbon',
    nights: 3,
    hotel: 'Casa do Jardim',
  });
  assert.deepEqual(facts['pastAttributes'], { city: 'Lisbon', nights: 2 });
  assert.equal(facts['foundMemory'], 'quiet');
  assert.deepEqual(facts['traceEvents'], ['decide-1', 'ask-2', 'ask-1']);
  assert.equal(facts['appliedAfterRestart'], facts['streamed']);
  const duplicates = Number(facts['resentDuplicates']);
  assert.ok(duplicates >= Number(facts['acknowledgedBeforeKill']), 'nothing acknowledged was lost');
  assert.equal(facts['counter'], 100);
  assert.ok(Number(facts['tookMs']) < 60_000);
});
