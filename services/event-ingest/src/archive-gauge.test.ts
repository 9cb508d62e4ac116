import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createLogger, type Invoker } from '@memplane/runtime';
import { ArchiveGauge } from './archive-gauge.ts';

test('the lags of all instances count, and those of one that is gone no longer', async () => {
  const answers = [
    { instance: 'a', archiveLagBytes: 700 },
    { instance: 'b', archiveLagBytes: 600 },
    ...Array.from({ length: 10 }, () => ({ instance: 'a', archiveLagBytes: 5 })),
  ];
  const seen: [number, boolean][] = [];
  const done = Promise.withResolvers<void>();
  const gauge: ArchiveGauge = new ArchiveGauge({
    invoker: {
      async invoke() {
        // What the answer before has led to.
        seen.push([gauge.lagBytes, gauge.behind]);
        const next = answers.shift();
        if (next === undefined) done.resolve();
        return next;
      },
    } as unknown as Invoker,
    logger: createLogger('test', 'silent'),
    pollMs: 1,
    archive_lag_bytes_max: 1_000,
  });
  gauge.start();
  await done.promise;
  gauge.stop();
  assert.deepEqual(seen.slice(0, 4), [
    [0, false],
    [700, false],
    [1_300, true],
    [605, false],
  ]);
  assert.deepEqual(seen.at(-1), [5, false]);
});
