import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import {
  type AppendAnswer,
  call,
  eventually,
  expectStatus,
  Plane,
  type ProblemBody,
  planeDigests,
  portsInRow,
  removeDerivedStores,
  runCommand,
  ScratchFolder,
} from '@memplane/testkit';
import { planeSettings } from './compatible-plane.ts';
import { unpackFolder } from './folder-file.ts';
import { changed, type Readings, readAll } from './readings.ts';
import { STRONG, type Written } from './story.ts';

// A data folder and a backup that the code of the recorded commit has written (`make.ts`): this code
// opens them, and answers every question as that code did.
const read = (name: string) => readFileSync(path.join(import.meta.dirname, 'released', name));
const { written, readings }: { written: Written; readings: Readings } = JSON.parse(
  read('meaning.json').toString(),
);

describe('what the version before wrote', () => {
  const folder = new ScratchFolder('upgrade');
  const dataDir = path.join(folder.path, 'data');
  let plane: Plane;
  let files: string[];
  before(async () => {
    files = unpackFolder(read('data.json.gz'), dataDir);
    const ports = await portsInRow();
    const env = planeSettings(folder.path);
    plane = await Plane.start({ dataDir, ports, env, readyTimeoutMs: 180_000 });
  });
  after(async () => {
    await plane[Symbol.asyncDispose]();
    folder[Symbol.dispose]();
  });

  const differences = async (of: Plane) => {
    await planeDigests(of);
    return changed(readings, await readAll(of, written));
  };

  test('the folder holds every format', () => {
    const kinds = [
      'archive/.*segment',
      'archive/.*snapshot',
      'log/',
      'views/',
      'crdt/',
      'strong/',
      'vectors/',
    ];
    for (const kind of kinds)
      assert.ok(
        files.some((file) => new RegExp(kind).test(file)),
        kind,
      );
    assert.ok(Object.keys(readings).length > 60);
    for (const [name, { status }] of Object.entries(readings) as [string, { status: number }][]) {
      // At the first offset of its partition an entity may not be there yet.
      assert.equal(status, name.startsWith('first view') && status === 404 ? 404 : 200, name);
    }
  });

  test('views, history, searches and values read as they did', async () => {
    assert.deepEqual(await differences(plane), []);
  });

  test('a word that is other is noticed', async () => {
    const planted = structuredClone(readings) as Record<string, { body: { attributes: object } }>;
    const view = planted['view user/3'];
    assert.ok(view);
    view.body.attributes = { ...view.body.attributes, turn: 99 };
    const found = changed(planted, readings);
    assert.deepEqual(found, ['/view user/3/body/attributes/turn: 99 → 11']);
  });

  test('what was told before goes on: ids, operation ids, tokens, leases', async () => {
    const post = (body: object) =>
      call<AppendAnswer & ProblemBody>('POST', `${plane.ingest}/v1/events`, { body });
    const { accepted } = (await post(written.repeated.event)).body;
    assert.deepEqual(accepted, [{ ...written.repeated.accepted, duplicate: true }]);
    const plan = { id: 'plan-3', type: 'Planned', entity: STRONG, expectedSequence: 3 };
    assert.equal((await post(plan)).body.code, 'fencing_token_required');
    const lease = { lease: 'planner', fencingToken: written.fencingToken };
    assert.equal((await post({ ...plan, ...lease, fencingToken: 0 })).status >= 400, true);
    assert.equal((await post({ ...plan, ...lease })).status, 201);
    const again = { body: { by: 4, opId: 'the-same' } };
    const url = `${plane.crdt}/v1/counters/ids`;
    await expectStatus(200, 'POST', `${url}/increments`, again);
    const { value } = await expectStatus<{ value: number }>(200, 'GET', url);
    assert.equal(value, 4);
  });

  test('verify finds all equal, and doctor nothing', async () => {
    const run = (...args: string[]) => runCommand(args, { url: plane.ingest });
    const verified = await run('verify');
    assert.equal(verified.code, 0, verified.stdout + verified.stderr);
    await eventually('all is well', 20_000, async () => {
      const { code } = await run('doctor', '--data-dir', '/no/such/folder');
      return code === 0 || undefined;
    });
  });

  test('the derived stores come back from its archive, snapshots and log', async () => {
    await plane.stop();
    assert.deepEqual(removeDerivedStores(dataDir), ['vectors', 'views']);
    plane = await plane.again();
    const found = await differences(plane);
    // One more event of that entity was appended above.
    assert.deepEqual(
      found.filter((text) => !text.includes(STRONG) && !isCounted(text)),
      [],
    );
  });

  test('its backup is restored, and reads as it did', async () => {
    const place = path.join(folder.path, 'backup');
    unpackFolder(read('backup.json.gz'), place);
    const restoredDir = path.join(folder.path, 'restored');
    const restored = await runCommand(['restore', '--from', place, '--data-dir', restoredDir]);
    assert.equal(restored.code, 0, restored.stderr);
    await using other = await Plane.start({
      dataDir: restoredDir,
      env: planeSettings(folder.path),
      readyTimeoutMs: 180_000,
    });
    const found = await differences(other);
    // A restored plane has a log of its own, which tokens and cursors of before are not of.
    const ofTokens = /of the past|^\/query|^\/view |session|vectors/;
    assert.deepEqual(
      found.filter((text) => !ofTokens.test(text) && !isCounted(text)),
      [],
    );
  });
});

/** The digest, the counts and the positions of a log that went on. */
const isCounted = (text: string) => /^\/(digest|counters\/events_total)|\/asOf\/offset/.test(text);
