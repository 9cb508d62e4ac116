import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  type AppendAnswer,
  bytesLeft,
  call,
  type EntityView,
  entityPath,
  eventually,
  expectStatus,
  Plane,
  type ProblemBody,
  ScratchFolder,
} from '@memplane/testkit';
import {
  append,
  cleared,
  erase,
  type Receipt,
  Secrets,
  sealingEnv,
  WAIT_MS,
} from './erasure-plane.ts';

/** After the erasure was asked for, in milliseconds; the last ones while its stores are cleared. */
const KILLED_AFTER_MS = [0, 10, 40, 400];
const KINDS = ['patient', 'case', 'user', 'ledger'];

test('kill -9 in the middle of erasing: the next start finishes it, and loses no later event', async () => {
  using folder = new ScratchFolder('erasure-crash');
  using config = new ScratchFolder('erasure-crash-config');
  let plane = await Plane.start({ dataDir: folder.path, env: sealingEnv(config.path) });
  try {
    for (const [round, killedAfterMs] of KILLED_AFTER_MS.entries()) {
      // Sealed, strong and sealed, neither, and strong.
      const entity = `${KINDS[round]}/c${round}`;
      const secrets = new Secrets();
      await append(plane, secrets.events(entity));
      const asked = erase(plane, entity).catch(() => undefined);
      await new Promise((resolve) => setTimeout(resolve, killedAfterMs));
      await plane.kill();
      await asked;
      plane = await plane.again();
      const receipt = (await erasuresOf(plane, entity))[0] ?? (await erase(plane, entity));
      const later = await appendSoon(plane, entity, `later ${round}`);
      await cleared(plane, receipt);
      const url = plane.materializer + entityPath(entity, { after: later, waitMs: '20000' });
      const view = await expectStatus<EntityView>(200, 'GET', url);
      assert.deepEqual(view.attributes, { later: `later ${round}` });
      const left = bytesLeft(folder.path, secrets.forms).filter((place) => {
        return round < 2 || !place.startsWith('log/');
      });
      assert.deepEqual(left, [], `killed ${killedAfterMs} ms after it was asked for`);
    }
  } finally {
    await plane.kill();
  }
});

async function erasuresOf(plane: Plane, entity: string): Promise<Receipt[]> {
  const url = `${plane.ingest}/v1/erasures`;
  const { erasures } = await expectStatus<{ erasures: Receipt[] }>(200, 'GET', url);
  return erasures.filter((one) => one.entity === entity);
}

/** Appends once the entity takes it: an erasure on its way into the log comes first. */
async function appendSoon(plane: Plane, entity: string, later: string): Promise<string> {
  const body = [{ id: later, type: 'Noted', entity, attributes: { later } }];
  return await eventually('the entity takes an event', WAIT_MS, async () => {
    const answer = await call('POST', `${plane.ingest}/v1/events`, { body });
    if (answer.status === 201) return (answer.body as AppendAnswer).token;
    assert.equal((answer.body as ProblemBody).code, 'erasing');
    return undefined;
  });
}
