import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { FileBlobStore } from '@memplane/blob-store';
import {
  bytesLeft,
  call,
  entityPath,
  eventually,
  expectStatus,
  Plane,
  type PlanePorts,
  type ProblemBody,
  planeDigests,
  portsInRow,
  readEntity,
  runCommand,
  ScratchFolder,
} from '@memplane/testkit';
import { appendToLedger } from '../../packages/standalone/src/ledger/ledger.ts';
import { append, cleared, erase, Secrets, WAIT_MS } from './erasure-plane.ts';

const ENV = {
  MEMPLANE_LOG_LEVEL: 'warn',
  MEMPLANE_PARTITIONS: '2',
  MEMPLANE_ERASURE_TICK_MS: '50',
  MEMPLANE_ERASURE_POLL_MS: '100',
  MEMPLANE_INDEX_RETIRE_MS: '200',
};
/** Of machines with much else to do. */
const READY_MS = 240_000;
/** Erased before the backup, and spoken of again before it. */
const BEFORE = 'user/before';
/** Erased after the backup. */
const SINCE = 'user/since';
const NEIGHBOURS = Array.from({ length: 6 }, (_, n) => `user/n${n}`);
const OBJECTS = ['erasures/0000000000000001.json', 'erasures/0000000000000002.json'] as const;

describe('the erasure ledger', () => {
  const folder = new ScratchFolder('erasure-ledger');
  const at = (...names: string[]) => path.join(folder.path, ...names);
  const objects = OBJECTS.map((name) => at('backups', 'memplane-erasures', name));
  const [first = '', second = ''] = objects;
  const secrets = new Secrets();
  let ports: PlanePorts;
  let was: string;

  const viewsOf = async (plane: Plane) => {
    const views = [BEFORE, ...NEIGHBOURS].map(async (entity) => {
      const view = await readEntity(plane.materializer, entity);
      return [entity, view.attributes, view.memories, view.sequence, view.asOf.hlc];
    });
    return JSON.stringify(await Promise.all(views), undefined, 1);
  };
  const restoreInto = (dataDir: string, ...more: string[]) =>
    runCommand(['restore', '--from', at('backups', 'one'), '--data-dir', at(dataDir), ...more]);

  before(async () => {
    ports = await portsInRow();
    await using plane = await Plane.start({
      dataDir: at('data'),
      ports,
      env: ENV,
      readyTimeoutMs: READY_MS,
    });
    const { ingest: url } = plane;
    await append(plane, new Secrets().events(BEFORE));
    await cleared(plane, await erase(plane, BEFORE));
    await append(plane, [
      ...NEIGHBOURS.flatMap((entity) => new Secrets().events(entity)),
      { id: 'anew', type: 'Noted', entity: BEFORE, attributes: { is: 'new' } },
      ...secrets.events(SINCE),
    ]);
    await planeDigests(plane);
    was = await viewsOf(plane);
    const made = await runCommand(['backup', '--to', at('backups', 'one')], { url });
    assert.equal(made.code, 0, made.stderr);
    assert.match(made.stdout, /memplane-erasures: a restore needs it/);
    await erase(plane, SINCE);
    const place = at('backups', 'memplane-erasures');
    const exporting = ['erasures', 'export', '--ledger', place, '--json'];
    const exported = await runCommand(exporting, { url });
    assert.equal(exported.code, 0, exported.stderr);
    const { added, erasures } = JSON.parse(exported.stdout) as { added: number; erasures: number };
    assert.deepEqual([added, erasures], [1, 2]);
  });
  after(() => folder[Symbol.dispose]());

  test('what was erased since the backup is not restored, and all else is', async () => {
    const restored = await restoreInto('new', '--json');
    assert.equal(restored.code, 0, restored.stderr);
    assert.equal((JSON.parse(restored.stdout) as { erasures: number }).erasures, 1);
    assert.deepEqual(bytesLeft(at('new'), secrets.forms), []);

    await using plane = await Plane.start({
      dataDir: at('new'),
      ports,
      env: ENV,
      readyTimeoutMs: READY_MS,
    });
    await planeDigests(plane);
    const { status, body } = await call<ProblemBody>(
      'GET',
      plane.materializer + entityPath(SINCE, {}),
    );
    assert.deepEqual([status, body.code], [410, 'erased']);
    assert.equal(await viewsOf(plane), was);
    const { ingest: url } = plane;
    const verified = await runCommand(['verify'], { url });
    assert.equal(verified.code, 0, verified.stdout);
    await eventually('every store is clear', WAIT_MS, async () => {
      const { code, stdout } = await runCommand(['erasures', 'verify'], { url });
      assert.match(stdout, new RegExp(`${SINCE}\tviews\t`));
      return code === 0 || undefined;
    });
    // The count goes on: four events, the erasure, and this one.
    await append(plane, [{ id: 'anew', type: 'Noted', entity: SINCE, attributes: { is: 'new' } }]);
    await planeDigests(plane);
    const { sequence, attributes } = await readEntity(plane.materializer, SINCE);
    assert.deepEqual([sequence, attributes], [6, { is: 'new' }]);

    // The restored plane knows all that the ledger has, and adds to it what it erases itself.
    await erase(plane, 'user/n0');
    const made = await runCommand(['backup', '--to', at('backups', 'two')], { url });
    assert.equal(made.code, 0, made.stderr);
    const { ledger } = JSON.parse(readFileSync(at('backups', 'two', 'manifest.json'), 'utf8'));
    assert.equal(ledger.number, 3);
    const entry = {
      ...{ tenant: 'default', entity: 'user/x', erasure: randomUUID(), logId: randomUUID() },
      ...{ requestedAt: new Date().toISOString(), event: { id: 'e', partition: 0, offset: 0 } },
    };
    await appendToLedger(await FileBlobStore.open(at('other')), [entry]);
    const foreign = await runCommand(['erasures', 'export', '--ledger', at('other')], { url });
    assert.equal(foreign.code, 5);
    assert.match(foreign.stderr, /erasure of user\/x that this plane does not know/);
    await expectStatus(200, 'GET', `${plane.ingest}/v1/erasures`);
    rmSync(at('backups', 'memplane-erasures', 'erasures', '0000000000000003.json'));
  });

  test('without the ledger it comes back, with a warning', async () => {
    const restored = await restoreInto('without', '--without-ledger');
    assert.equal(restored.code, 0, restored.stderr);
    assert.match(restored.stdout, /WITHOUT AN ERASURE LEDGER/);
    assert.notDeepEqual(bytesLeft(at('without'), secrets.forms), [], 'the search finds something');
  });

  test('a ledger that is damaged, has a gap, or is older than the backup is refused', async () => {
    const refused = async (code: number, why: RegExp) => {
      const restored = await restoreInto('refused');
      assert.equal(restored.code, code, restored.stderr);
      assert.match(restored.stderr, why);
    };
    const whole = readFileSync(first, 'utf8');
    writeFileSync(first, whole.replace(BEFORE, 'user/beford'));
    await refused(1, /erasures\/0000000000000001\.json can not be used: its digest/);
    writeFileSync(first, whole);
    renameSync(first, at('aside'));
    await refused(1, /erasures\/0000000000000001\.json can not be used: it is missing/);
    renameSync(second, at('aside-too'));
    await refused(5, /Give the newest one by --ledger/);
    renameSync(at('aside-too'), second);
    renameSync(at('aside'), first);
    const checking = ['restore', '--from', at('backups', 'one'), '--check', '--json'];
    const checked = await runCommand(checking);
    assert.equal(checked.code, 0, checked.stderr);
    assert.equal(JSON.parse(checked.stdout).ledger.erasures, 2);
  });
});
