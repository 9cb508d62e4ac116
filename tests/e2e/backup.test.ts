import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { FileBlobStore } from '@memplane/blob-store';
import { MemoryBlobStore } from '@memplane/blob-store/memory';
import { encodeToken } from '@memplane/contracts';
import {
  type AppendAnswer,
  call,
  checkView,
  entityPath,
  eventually,
  expectStatus,
  Fold,
  figure,
  Plane,
  type PlanePorts,
  type ProblemBody,
  planeDigests,
  portsInRow,
  readEntity,
  readLog,
  runCommand,
  ScratchFolder,
  type SearchAnswer,
  scaled,
  seededRandom,
  startCommand,
} from '@memplane/testkit';
import { BackupReader } from '../../packages/standalone/src/backup/backup-reader.ts';
import { checkBackup } from '../../packages/standalone/src/backup/check.ts';

/** A real, small model, so that there are vectors that the plane has computed itself. */
const MODEL = fileURLToPath(
  new URL('../../services/vector-index/src/testing/onnx-model', import.meta.url),
);
const ENV = { MEMPLANE_EMBEDDER_ONNX_DIR: MODEL, MEMPLANE_EMBEDDING_DIMENSIONS: '16' };
const ENTITIES = 40;
/** Events that are there when the backup begins, while more come. */
const EVENTS = scaled('backup_events', { ci: 1_000, soak: 500_000 });
const TOPICS = ['tea in the harbour', 'a cheap hotel', 'the last train north', 'rain and wind'];

interface BackupReport {
  readonly cut: { readonly logId: string; readonly epoch: number; readonly offsets: number[] };
  readonly viewsDigest: string;
  readonly events: number;
  readonly parts: number;
}

/** Appends, counts and adds until it is stopped. */
class Load {
  readonly #plane: Plane;
  #stopped = false;
  events = 0;
  readonly #running: Promise<void>[];

  constructor(plane: Plane) {
    this.#plane = plane;
    this.#running = [0, 1, 2].map((lane) => this.#run(lane));
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#running);
  }

  async #run(lane: number): Promise<void> {
    for (let n = 0; !this.#stopped; n++) {
      await append(this.#plane, batch(`lane-${lane}-${n}`, n));
      // The same ids again: the log knows them, and the views count none twice.
      if (n % 5 === 0) await append(this.#plane, batch(`lane-${lane}-${n}`, n));
      await increment(this.#plane, 'under-load', 1);
      this.events += ENTITIES;
      // What is there soon is enough: from then on the plane is loaded, not flooded.
      if (this.events > EVENTS) await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

function batch(prefix: string, n: number): unknown[] {
  return Array.from({ length: ENTITIES }, (_, i) => ({
    id: `${prefix}-${i}`,
    type: n % 2 === 0 ? 'Said' : 'Noted',
    entity: `user/${i}`,
    attributes: { turn: n, lane: prefix, ...(n % 7 === 0 ? { gone: null } : { gone: i }) },
    ...(n % 3 === 0
      ? { memory: { id: `m${n % 4}`, text: `${TOPICS[(n + i) % 4]} ${n % 9}`, metadata: { i } } }
      : {}),
  }));
}

const append = (plane: Plane, body: unknown) =>
  expectStatus<AppendAnswer>(201, 'POST', `${plane.ingest}/v1/events`, { body });
const increment = (plane: Plane, name: string, by: number) =>
  expectStatus(200, 'POST', `${plane.crdt}/v1/counters/${name}/increments`, { body: { by } });
const valueNamed = async (plane: Plane, name: string) =>
  (await expectStatus<{ value: number }>(200, 'GET', `${plane.crdt}/v1/counters/${name}`)).value;
const digestOf = (plane: Plane) =>
  expectStatus<{ digest: string; logId: string }>(200, 'GET', `${plane.materializer}/v1/digest`);

async function searchAll(plane: Plane, asOf?: string): Promise<unknown> {
  const found: unknown[] = [];
  for (let i = 0; i < ENTITIES; i += 3) {
    const body = { text: 'tea and rain', entity: `user/${i}`, topK: 5, ...(asOf ? { asOf } : {}) };
    const { results } = await expectStatus<SearchAnswer>(
      200,
      'POST',
      `${plane.vectors}/v1/search`,
      { body },
    );
    found.push(
      results.map(({ memoryId, eventId, offset, memory }) => ({
        memoryId,
        eventId,
        offset,
        memory,
      })),
    );
  }
  return found;
}

async function backUp(plane: Plane, place: string): Promise<BackupReport> {
  const { code, stdout, stderr } = await runCommand(['backup', '--to', place, '--json'], {
    url: plane.ingest,
  });
  assert.equal(code, 0, stderr);
  return JSON.parse(stdout) as BackupReport;
}

async function restoreInto(place: string, dataDir: string, more: string[] = []) {
  const { code, stdout, stderr } = await runCommand([
    'restore',
    '--from',
    place,
    '--data-dir',
    dataDir,
    '--json',
    ...more,
  ]);
  assert.equal(code, 0, stderr);
  return JSON.parse(stdout) as {
    logId: string;
    fromLogId: string;
    events: number;
    vectors: number;
  };
}

/** What the log of a plane says up to a cut, worked out without the plane. */
async function foldOf(plane: Plane, offsets: readonly number[], untilMs?: number): Promise<Fold> {
  const ends = new Map(offsets.map((end, partition) => [partition, end] as const));
  const fold = new Fold();
  for (const record of await readLog(plane.materializer, ends)) {
    const ms = Number.parseInt(record.event.hlc.slice(0, 12), 16);
    if (untilMs === undefined || ms <= untilMs) fold.apply(record);
  }
  return fold;
}

async function expectViews(plane: Plane, fold: Fold): Promise<void> {
  const wrong: string[] = [];
  for (const folded of fold.entities.values()) {
    const view = await readEntity(plane.materializer, folded.entity);
    wrong.push(...checkView(view, folded));
    if (view.asOf.hlc !== folded.lastHlc) wrong.push(`${folded.entity}: ${view.asOf.hlc}`);
  }
  assert.deepEqual(wrong, []);
}

/** Of each part one byte is flipped, at a place by chance; and each is left out. */
async function expectEachPartChecked(place: string): Promise<void> {
  const seed = Number(process.env['MEMPLANE_TEST_SEED'] ?? Date.now() % 1_000_000);
  const random = seededRandom(seed);
  const files = await FileBlobStore.open(place);
  const blobs = new MemoryBlobStore();
  const names: string[] = [];
  for await (const { name } of files.list('')) {
    await blobs.put(name, await files.get(name));
    names.push(name);
  }
  const check = async () => checkBackup(await BackupReader.open(blobs), () => {});
  await check();
  assert.ok(names.length > 15);
  for (const name of names) {
    const whole = await blobs.get(name);
    const flipped = Buffer.from(whole);
    const at = Math.floor(random() * whole.length);
    flipped.writeUInt8(flipped.readUInt8(at) ^ (1 << Math.floor(random() * 8)), at);
    await blobs.put(name, flipped);
    const what = `seed ${seed}: byte ${at} of ${name}`;
    const isNamed = (error: Error) => error.message.includes(name);
    await assert.rejects(check, isNamed, what);
    await blobs.put(name, whole.subarray(0, whole.length - 1));
    await assert.rejects(check, isNamed, `${name} cut short`);
    await blobs.delete(name);
    await assert.rejects(check, isNamed, `without ${name}`);
    await blobs.put(name, whole);
  }
}

describe('backup and restore', () => {
  const folder = new ScratchFolder('backup');
  const at = (name: string) => path.join(folder.path, name);
  const env = { ...ENV, MEMPLANE_ZONES: at('zones.yaml') };
  let ports: PlanePorts;
  let plane: Plane;
  let report: BackupReport;
  let firstPhaseMs = 0;

  before(async () => {
    ports = await portsInRow();
    writeFileSync(at('zones.yaml'), 'zones: [{match: "session/*", consistency: strong}]\n');
    plane = await Plane.start({ dataDir: at('data'), ports, env });
  });
  after(async () => {
    await plane[Symbol.asyncDispose]();
    folder[Symbol.dispose]();
  });

  test('a plane under load is backed up, lost, restored, and equal at the cut', async () => {
    const { accepted } = await append(plane, batch('first', 3));
    const stamps = accepted.map(({ hlc }) => Number.parseInt(hlc.slice(0, 12), 16));
    firstPhaseMs = Math.max(...stamps);
    await new Promise((resolve) => setTimeout(resolve, 50));
    await increment(plane, 'settled', 41);
    await increment(plane, 'settled', 1);
    const set = `${plane.crdt}/v1/sets/colours`;
    for (const element of ['red', 'green', 'blue']) {
      await expectStatus(200, 'POST', `${set}/adds`, { body: { element } });
    }
    await expectStatus(200, 'POST', `${set}/removes`, { body: { element: 'green' } });
    const register = `${plane.crdt}/v1/registers/mode`;
    await expectStatus(200, 'PUT', register, { body: { value: { level: 3 } } });
    const opId = { body: { by: 5, opId: 'the-same-operation' } };
    const withId = `${plane.crdt}/v1/counters/with-ids/increments`;
    await expectStatus(200, 'POST', withId, opId);

    const lease = { holder: 'one', ttlMs: 600_000, entities: ['session/guarded'] };
    const leased = () =>
      expectStatus<{ fencingToken: number }>(200, 'PUT', `${plane.ingest}/v1/leases/planner`, {
        body: lease,
      });
    const { fencingToken } = await leased();
    const strong = (id: string, expectedSequence: number, more: object) => ({
      ...{ id, type: 'Planned', entity: 'session/guarded', expectedSequence, ...more },
    });
    await append(plane, strong('plan-1', 0, { lease: 'planner', fencingToken }));

    const load = new Load(plane);
    await eventually('there is load', 10 * 60_000, async () => load.events > EVENTS || undefined);
    const countedBefore = await valueNamed(plane, 'under-load');
    const acknowledged = await append(plane, [
      { id: 'acknowledged-before', type: 'Said', entity: 'user/acknowledged' },
    ]);
    const startedAt = performance.now();
    report = await backUp(plane, at('one'));
    figure('backup under load', Math.round(performance.now() - startedAt), 'ms');
    figure('events in the backup', report.events);
    const countedAfter = await valueNamed(plane, 'under-load');
    await load.stop();
    const { offsets, logId, epoch } = report.cut;
    const [one] = acknowledged.accepted;
    assert.ok(
      one && (offsets[one.partition] ?? -1) >= one.offset,
      'what was acknowledged is in it',
    );

    const fold = await foldOf(plane, offsets);
    const token = encodeToken({ logId, epoch, offsets: new Map(offsets.entries()) });
    await planeDigests(plane);
    const hits = await searchAll(plane, `token:${token}`);
    await plane.kill();
    rmSync(at('data'), { recursive: true });

    const restored = await restoreInto(at('one'), at('new'));
    assert.equal(restored.fromLogId, logId);
    assert.equal(restored.events, report.events);
    assert.ok(restored.vectors > 0, 'computed vectors are carried');
    plane = await Plane.start({ dataDir: at('new'), ports, env });
    await planeDigests(plane);
    const digests = await digestOf(plane);
    assert.equal(digests.digest, report.viewsDigest);
    assert.equal(digests.logId, restored.logId);
    assert.notEqual(restored.logId, logId);
    await expectViews(plane, fold);
    assert.deepEqual(await searchAll(plane), hits);

    assert.equal(await valueNamed(plane, 'settled'), 42);
    const counted = await valueNamed(plane, 'under-load');
    assert.ok(counted >= countedBefore && counted <= countedAfter, `${counted}`);
    const members = await expectStatus<{ elements: string[] }>(
      200,
      'GET',
      `${plane.crdt}/v1/sets/colours`,
    );
    assert.deepEqual([...members.elements].sort(), ['blue', 'red']);
    const mode = await expectStatus<{ value: unknown }>(
      200,
      'GET',
      `${plane.crdt}/v1/registers/mode`,
    );
    assert.deepEqual(mode.value, { level: 3 });
    await expectStatus(200, 'POST', `${plane.crdt}/v1/counters/with-ids/increments`, opId);
    assert.equal(await valueNamed(plane, 'with-ids'), 5, 'an operation counts once');
    const total = [...fold.entities.values()].reduce((sum, { sequence }) => sum + sequence, 0);
    await eventually('derived counters are those of the restored log', 10_000, async () => {
      return (await valueNamed(plane, 'events_total')) === total || undefined;
    });

    const old = await call<ProblemBody>(
      'GET',
      plane.materializer + entityPath('user/1', { after: token }),
    );
    assert.deepEqual([old.status, old.body.code], [409, 'token_of_another_log']);
    const refusal = async (event: unknown) => {
      const url = `${plane.ingest}/v1/events`;
      const { status, body } = await call<ProblemBody>('POST', url, { body: event });
      return `${status} ${body.code}`;
    };
    const stale = strong('plan-2', 1, { lease: 'planner', fencingToken });
    assert.equal(await refusal(stale), '409 stale_fencing_token');
    assert.equal(await refusal(strong('plan-2', 1, {})), '409 fencing_token_required');
    lease.holder = 'another';
    const newer = (await leased()).fencingToken;
    assert.ok(newer > fencingToken, 'the lease is free, its tokens go on');
    assert.equal(
      await refusal(strong('plan-2', 0, { lease: 'planner', fencingToken: newer })),
      '409 sequence_conflict',
    );
    await append(plane, strong('plan-2', 1, { lease: 'planner', fencingToken: newer }));
    const again = await append(plane, batch('first', 3));
    assert.deepEqual(
      again.accepted.map(({ duplicate, offset, hlc }) => ({ duplicate, offset, hlc })),
      accepted.map(({ offset, hlc }) => ({ duplicate: true, offset, hlc })),
    );
    const [next] = (await append(plane, batch('next', 1))).accepted;
    assert.ok(next && next.offset > (offsets[next.partition] ?? 0), 'offsets go on');
  });

  test('a restoration to a time holds what happened up to it, and nothing else', async () => {
    const until = new Date(firstPhaseMs).toISOString();
    const { events } = await restoreInto(at('one'), at('past'), ['--until', until]);
    assert.equal(events, ENTITIES);
    const fold = await foldOf(plane, report.cut.offsets, firstPhaseMs);
    assert.equal(fold.entities.size, ENTITIES);
    await using past = await Plane.start({ dataDir: at('past'), env });
    await planeDigests(past);
    await expectViews(past, fold);
    assert.equal(await valueNamed(past, 'settled'), 42);
    const later = await runCommand([
      'restore',
      '--from',
      at('one'),
      '--data-dir',
      at('later'),
      '--until',
      '2999-01-01T00:00:00Z',
    ]);
    assert.equal(later.code, 5);
    assert.match(later.stderr, /The backup ends at 20/);
  });

  test('a folder that holds anything is refused, and a place that holds a backup', async () => {
    const filled = await runCommand(['restore', '--from', at('one'), '--data-dir', at('new')]);
    assert.equal(filled.code, 5);
    assert.match(filled.stderr, /is not empty/);
    const twice = await runCommand(['backup', '--to', at('one')], { url: plane.ingest });
    assert.equal(twice.code, 5);
    assert.match(twice.stderr, /holds a backup already/);
    writeFileSync(path.join(folder.path, 'thesis.doc'), 'all of it');
    const other = await runCommand(['backup', '--to', folder.path], { url: plane.ingest });
    assert.equal(other.code, 5);
    assert.match(other.stderr, /holds something else/);
  });

  test('damage is refused with its place, and nothing is left to start on', async () => {
    const manifest = JSON.parse(readFileSync(path.join(at('one'), 'manifest.json'), 'utf8'));
    const last = manifest.parts.findLast((part: { kind: string }) => part.kind === 'events').name;
    const file = path.join(at('one'), ...last.split('/'));
    const whole = readFileSync(file);
    const flipped = Buffer.from(whole);
    flipped.writeUInt8(flipped.readUInt8(flipped.length >> 1) ^ 1, flipped.length >> 1);
    writeFileSync(file, flipped);
    const refused = await runCommand(['restore', '--from', at('one'), '--data-dir', at('bad')]);
    assert.equal(refused.code, 1);
    assert.ok(refused.stderr.includes(last), refused.stderr);
    const left = existsSync(at('bad')) ? readdirSync(at('bad')) : [];
    assert.deepEqual(
      left.filter((name) => !name.startsWith('memplane.')),
      [],
    );
    writeFileSync(file, whole);
    await expectEachPartChecked(at('one'));
    const checked = await runCommand(['restore', '--from', at('one'), '--check', '--json']);
    assert.equal(checked.code, 0, checked.stderr);
    assert.equal(JSON.parse(checked.stdout).ok, true);
  });

  test('a backup that is killed is none, and may be made anew in its place', async () => {
    await killedWhen(
      ['backup', '--to', at('cut')],
      () => existsSync(path.join(at('cut'), 'views', '0000.snapshot')),
      () => existsSync(path.join(at('cut'), 'manifest.json')),
    );
    const none = await runCommand(['restore', '--from', at('cut'), '--data-dir', at('none')]);
    assert.equal(none.code, 3);
    assert.match(none.stderr, /no backup, or one that never came to its end/);
    assert.equal(existsSync(at('none')), false);
    await backUp(plane, at('cut'));
  });

  test('a restoration that is killed leaves a folder that no plane starts on', async () => {
    await killedWhen(
      ['restore', '--from', at('one'), '--data-dir', at('half')],
      () => existsSync(path.join(at('half'), 'restoring', 'log', 'manifest.json')),
      () => existsSync(path.join(at('half'), 'log')),
    );
    const started = await Plane.launch({ dataDir: at('half') });
    assert.notEqual((await started.ended()).code, 0);
    assert.match(started.logTail(), /did not come to its end/);
    await restoreInto(at('one'), at('half'));
    await using restored = await Plane.start({ dataDir: at('half') });
    await planeDigests(restored);
    assert.equal((await digestOf(restored)).digest, report.viewsDigest);
  });

  /** @param isLate it came to its end before it could be killed: the test would prove nothing */
  async function killedWhen(args: string[], isDue: () => boolean, isLate: () => boolean) {
    const child = startCommand(args, { url: plane.ingest });
    const ended = new Promise((resolve) => child.once('close', resolve));
    const deadline = performance.now() + 20_000;
    while (!isDue()) {
      assert.ok(performance.now() < deadline && child.exitCode === null, 'it never began');
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    child.kill('SIGKILL');
    await ended;
    assert.equal(isLate(), false, 'it was quicker than the kill');
  }
});
