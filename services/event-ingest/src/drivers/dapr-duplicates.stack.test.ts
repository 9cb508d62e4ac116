import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before } from 'node:test';
import { DaprState, type SidecarConfig, waitForSidecar } from '@memplane/runtime/dapr';
import { DaprFixture } from '@memplane/stack/dapr-fixture';
import { DaprDuplicates } from './dapr-duplicates.ts';
import { describeDuplicatesContract } from './duplicates-contract.ts';

// Redis itself, through a real sidecar.
const stack = new DaprFixture();
let sidecar: SidecarConfig;

before(async () => {
  await stack.start();
  const { httpPort } = await stack.sidecar('event-ingest');
  sidecar = {
    url: `http://127.0.0.1:${httpPort}`,
    apiToken: stack.tokens.apiTokens['event-ingest'],
    appToken: stack.tokens.appTokens['event-ingest'],
  };
  await waitForSidecar(sidecar, 30_000);
});
after(() => stack[Symbol.asyncDispose]());

describeDuplicatesContract('the state store of a sidecar', async (idsMax) => {
  const log = { logId: randomUUID(), epoch: 0 };
  const failures: unknown[] = [];
  const create = () =>
    new DaprDuplicates({
      state: new DaprState(sidecar, 'state'),
      log,
      recent_ids_max: idsMax,
      ttlSeconds: 60,
      timeoutMs: 10_000,
      pauseMs: 1_000,
      queue_ids_max: 10_000,
      onUnknown: (operation, ids, cause) => failures.push({ operation, ids, cause }),
    });
  const record = create();
  return {
    record,
    another: create(),
    settled: () => record.close(),
    async dispose() {
      await record.close();
      assert.deepEqual(failures, []);
    },
  };
});
