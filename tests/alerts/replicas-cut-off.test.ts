import assert from 'node:assert/strict';
import path from 'node:path';
import { test } from 'node:test';
import { ScratchFolder } from '@memplane/testkit';
import { ReplicaProcesses } from '../e2e/replica-processes.ts';
import { Prometheus } from './prometheus.ts';
import { Runbook } from './runbook.ts';

test('MemplaneReplicasCutOff: a replica stands still', async () => {
  using scratch = new ScratchFolder('cut-off');
  const replicas = await ReplicaProcesses.start(['a', 'b', 'c']);
  try {
    const targets = ['a', 'b'].map((id) => ({
      job: 'crdt-sync',
      instance: id,
      url: `http://127.0.0.1:${replicas.at(id).port}`,
    }));
    await using watching = await Prometheus.start(path.join(scratch.path, 'tsdb'), targets);
    await watching.round();
    const book = new Runbook('replicas-cut-off.md', path.join(scratch.path, 'bin'), {
      // The command looks for crdt-sync two ports above event-ingest.
      MEMPLANE_URL: `http://127.0.0.1:${replicas.at('a').port - 2}`,
    });
    await replicas.without(['c'], async () => {
      await watching.until('MemplaneReplicasCutOff', true, 60, () => pause(50));
      assert.match(await book.run('confirm'), /partition[\s\S]*\bc\b/);
    });
    await book.run('over');
    await watching.until('MemplaneReplicasCutOff', false, 60, () => pause(50));
  } finally {
    await replicas.stop();
  }
});

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
