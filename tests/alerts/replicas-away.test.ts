import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { ScratchFolder } from '@memplane/testkit';
import { ReplicaProcesses } from '../e2e/replica-processes.ts';
import { Prometheus } from './prometheus.ts';
import { Runbook } from './runbook.ts';

/** Beyond the memory of operation ids, and the minute that a replica is given on top of it. */
const AWAY_MS = 12 * 60_000;

test('MemplaneReplicasAway: a replica tells nothing for longer than ids are remembered', async () => {
  using scratch = new ScratchFolder('away');
  const clock = path.join(scratch.path, 'clock');
  writeFileSync(clock, '0');
  const replicas = await ReplicaProcesses.start(['a', 'b', 'c'], {
    env: {
      MEMPLANE_TEST_CLOCK_FILE: clock,
      NODE_OPTIONS: `--import=${path.join(import.meta.dirname, 'stepped-clock.mjs')}`,
    },
  });
  try {
    const url = `http://127.0.0.1:${replicas.at('a').port}`;
    const target = { job: 'crdt-sync', instance: 'a', url };
    await using watching = await Prometheus.start(path.join(scratch.path, 'tsdb'), [target]);
    await watching.round();
    const book = new Runbook('replicas-away.md', path.join(scratch.path, 'bin'), {
      // The command looks for crdt-sync two ports above event-ingest.
      MEMPLANE_URL: `http://127.0.0.1:${replicas.at('a').port - 2}`,
    });
    await replicas.without(['c'], async () => {
      writeFileSync(clock, String(AWAY_MS));
      await watching.until('MemplaneReplicasAway', true, 60, () => pause(50));
      assert.match(await book.run('confirm'), /replica_away[\s\S]*\bc\b/);
    });
    await book.run('over');
    await watching.until('MemplaneReplicasAway', false, 60, () => pause(50));
  } finally {
    await replicas.stop();
  }
});

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
