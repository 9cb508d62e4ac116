import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  type AppendAnswer,
  call,
  checkView,
  type EntityView,
  entityPath,
  eventually,
  expectStatus,
  Fold,
  figure,
  Plane,
  type ProblemBody,
  planeDigests,
  readAppliedEnds,
  readEntity,
  readLog,
  type SearchAnswer,
} from '@memplane/testkit';
import { FreezableFolder, SmallDisk } from './broken-disk.ts';

const ATTEMPTS_MAX = 3_000;
const RECOVERY_MS = 30_000;

test('a full disk: said clearly, reads go on, and the plane recovers by itself', async () => {
  using disk = new SmallDisk(320);
  await using plane = await Plane.start({ dataDir: disk.path });
  const writer = new Writer(plane);
  await writer.acknowledgeSome(50);
  disk.fill();
  assert.equal(disk.freeBytes, 0);

  const problem = await writer.appendUntilRefused();
  assert.equal(problem.status, 503);
  assert.equal(problem.code, 'storage_full');
  await assertReadsGoOn(plane, writer);
  await assertRefusedInTime(writer, 'storage_full');
  await assertCounterIsHonest(plane, () => disk.clear());

  disk.clear();
  await assertRecovers(plane, writer, 'disk');
});

test('a data folder that becomes read-only: said clearly, reads go on, it recovers', async () => {
  using folder = new FreezableFolder();
  await using plane = await Plane.start({ dataDir: folder.path });
  const writer = new Writer(plane);
  await writer.acknowledgeSome(50);
  folder.freeze();
  try {
    const problem = await writer.appendUntilRefused();
    assert.equal(problem.status, 503);
    assert.equal(problem.code, 'storage_unavailable');
    await assertReadsGoOn(plane, writer);
    await assertRefusedInTime(writer, 'storage_unavailable');
    await assertReadyAgain(plane, () => folder.thaw());
    folder.freeze();
    await assertCounterIsHonest(plane, () => folder.thaw());
  } finally {
    folder.thaw();
  }
  await assertRecovers(plane, writer, 'folder');
});

test('a plane on a read-only folder says so and ends', async () => {
  using disk = new SmallDisk(16);
  disk.remountReadOnly();
  await using plane = await Plane.launch({ dataDir: disk.path });
  const timer = setTimeout(() => void plane.kill(), 20_000);
  const { code } = await plane.ended();
  clearTimeout(timer);
  assert.notEqual(code, 0);
  assert.notEqual(code, null, 'it ended by itself');
  assert.match(plane.logTail(), /read-only|EROFS|cannot be written/i);
  assert.ok(plane.logTail().includes(disk.path), plane.logTail());
});

/** Appends one event after the other and remembers which of them were acknowledged. */
class Writer {
  readonly acknowledged: number[] = [];
  readonly refused: number[] = [];
  readonly #plane: Plane;
  #n = 0;

  constructor(plane: Plane) {
    this.#plane = plane;
  }

  async append(n = this.#n++): Promise<ProblemBody | undefined> {
    const body = {
      id: `d${n}`,
      type: 'Written',
      entity: `disk/${n % 5}`,
      data: 'x'.repeat(2_000),
      attributes: { [`k${n % 50}`]: n },
      memory: { id: `m${n % 20}`, text: `entry ${n} of the disk test` },
    };
    const url = `${this.#plane.ingest}/v1/events`;
    const answer = await call<AppendAnswer & ProblemBody>('POST', url, { body, timeoutMs: 20_000 });
    if (answer.status === 201) {
      this.acknowledged.push(n);
      return undefined;
    }
    this.refused.push(n);
    if (answer.status >= 500) assert.ok(answer.headers['retry-after'], answer.text);
    return answer.body;
  }

  async acknowledgeSome(count: number): Promise<void> {
    for (let i = 0; i < count; i++) assert.equal(await this.append(), undefined);
  }

  /** Space that was set aside before may take some more. */
  async appendUntilRefused(): Promise<ProblemBody> {
    for (let i = 0; i < ATTEMPTS_MAX; i++) {
      const problem = await this.append();
      if (problem !== undefined) return problem;
    }
    throw new Error(`${ATTEMPTS_MAX} appends of 2 kB went in although nothing can be written`);
  }
}

async function assertReadsGoOn(plane: Plane, writer: Writer): Promise<void> {
  assert.equal(plane.exit, undefined, plane.logTail());
  const view = await readEntity(plane.materializer, 'disk/1');
  assert.ok(view.sequence > 0);
  const first = writer.acknowledged[0] ?? -1;
  const past = entityPath(`disk/${first % 5}`, { asOf: `event:d${first}` });
  assert.equal((await expectStatus<EntityView>(200, 'GET', plane.materializer + past)).sequence, 1);
  const found = await expectStatus<SearchAnswer>(200, 'POST', `${plane.vectors}/v1/search`, {
    body: { text: 'entry of the disk test', topK: 5 },
  });
  assert.ok(found.results.length > 0);
}

/** Refusals come early, not after a long wait. */
async function assertRefusedInTime(writer: Writer, code: string): Promise<void> {
  for (let i = 0; i < 5; i++) {
    const started = performance.now();
    const problem = await writer.append();
    assert.equal(problem?.code, code);
    assert.ok(performance.now() - started < 5_000, 'refused within 5 s');
  }
}

/** While counters can not be stored crdt-sync says that it is not ready; then it is, unasked. */
async function assertReadyAgain(plane: Plane, repair: () => void): Promise<void> {
  const url = `${plane.crdt}/v1/counters/disk/increments`;
  assert.equal((await call('POST', url, { body: { by: 1 } })).status, 503);
  assert.equal(await plane.isReady('crdt-sync'), false);
  repair();
  await eventually('crdt-sync is ready without a write', RECOVERY_MS, async () =>
    (await plane.isReady('crdt-sync')) ? true : undefined,
  );
}

/** A counter that can not be stored is not answered as if it were. */
async function assertCounterIsHonest(plane: Plane, repair: () => void): Promise<void> {
  const url = `${plane.crdt}/v1/counters/disk`;
  let acknowledged = 0;
  for (let i = 0; i < 20; i++) {
    const answer = await call<{ value: number }>('POST', `${url}/increments`, { body: { by: 1 } });
    if (answer.status === 200) acknowledged++;
    else assert.equal(answer.status, 503, answer.text);
  }
  repair();
  const { value } = await eventually('counters can be raised again', RECOVERY_MS, async () => {
    const body = { by: 1 };
    const answer = await call<{ value: number }>('POST', `${url}/increments`, { body });
    return answer.status === 200 ? answer.body : undefined;
  });
  assert.ok(value >= acknowledged + 1 && value <= 60, `${value} of ${acknowledged} acknowledged`);
}

async function assertRecovers(plane: Plane, writer: Writer, name: string): Promise<void> {
  const started = performance.now();
  await eventually('appends work again', RECOVERY_MS, async () =>
    (await writer.append()) === undefined ? true : undefined,
  );
  figure(`${name} recovered after`, Math.round(performance.now() - started), 'ms');
  // What was refused is repeated with the same ids, as a sender would.
  for (const n of writer.refused.splice(0)) assert.equal(await writer.append(n), undefined);
  await assertEverythingThere(plane, writer);
  const digests = await planeDigests(plane);
  await plane.kill();
  await using again = await plane.again();
  await assertEverythingThere(again, writer);
  assert.deepEqual(await planeDigests(again), digests);
}

async function assertEverythingThere(plane: Plane, writer: Writer): Promise<void> {
  const fold = new Fold();
  const ends = await readAppliedEnds(plane.materializer);
  for (const record of await readLog(plane.materializer, ends)) fold.apply(record);
  for (const n of writer.acknowledged) {
    assert.ok(fold.first.has(`disk/${n % 5} d${n}`), `d${n} was acknowledged and is not there`);
  }
  for (const folded of fold.entities.values()) {
    assert.deepEqual(checkView(await readEntity(plane.materializer, folded.entity), folded), []);
  }
}
