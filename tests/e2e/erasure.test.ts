import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  type AppendAnswer,
  call,
  type EntityView,
  entityPath,
  eventually,
  expectStatus,
  Plane,
  type ProblemBody,
  planeDigests,
  removeDerivedStores,
  ScratchFolder,
  type SearchAnswer,
  type SentEvent,
} from '@memplane/testkit';
import { bytesLeft, formsOfText, formsOfVector } from './bytes-left.ts';

const WAIT_MS = 60_000;
const NEIGHBOURS = 12;
const SEALED = 'patient/7';
const PLAIN = 'user/7';

/** Of one entity: what is said of it, none of which may be found anywhere once it is erased. */
class Secrets {
  readonly data = secret();
  readonly attribute = secret();
  readonly text = `the ${secret()} violin`;
  readonly metadata = secret();
  readonly vector = new Float32Array(768).map(() => Math.random() - 0.5);

  get forms() {
    return new Map([
      ['data', formsOfText(this.data)],
      ['attribute', formsOfText(this.attribute)],
      ['text', formsOfText(this.text.slice(4, 20))],
      ['metadata', formsOfText(this.metadata)],
      ['vector', formsOfVector(this.vector)],
    ]);
  }

  events(entity: string): SentEvent[] {
    const values = Buffer.from(this.vector.buffer).toString('base64');
    return [
      { id: `${entity}-1`, type: 'Said', entity, data: { text: `a turn ${this.data}` } },
      { id: `${entity}-2`, type: 'Noted', entity, attributes: { name: this.attribute, kind: 'a' } },
      {
        id: `${entity}-3`,
        type: 'Remembered',
        entity,
        memory: {
          id: 'm',
          text: this.text,
          metadata: { about: this.metadata },
          embedding: { model: 'waves', values },
        },
      },
      { id: `${entity}-4`, type: 'Noted', entity, attributes: { kind: 'b' }, data: this.data },
    ];
  }
}

function secret(): string {
  return `s${randomBytes(12).toString('hex')}`;
}

function settings(folder: string): Record<string, string> {
  const zones = join(folder, 'zones.yaml');
  const keys = join(folder, 'master-keys');
  writeFileSync(zones, 'zones: [{match: "patient/*", consistency: eventual, sealed: true}]\n');
  writeFileSync(keys, `k1:${randomBytes(32).toString('base64')}\n`, { mode: 0o600 });
  return {
    MEMPLANE_ZONES: zones,
    MEMPLANE_SEALING_KEYS: keys,
    MEMPLANE_LOG_LEVEL: 'warn',
    MEMPLANE_ARCHIVE_TICK_MS: '50',
    MEMPLANE_ARCHIVE_INTERVAL_MS: '200',
    MEMPLANE_SHARD_SNAPSHOT_EVENTS_MIN: '1',
    MEMPLANE_SHARD_SNAPSHOT_INTERVAL_MS: '300',
    MEMPLANE_ERASURE_TICK_MS: '50',
    MEMPLANE_ERASURE_POLL_MS: '100',
    MEMPLANE_INDEX_RETIRE_MS: '200',
    MEMPLANE_KEY_CACHE_MS: '200',
  };
}

test('what is erased is nowhere any more, and its neighbours are as they were', async () => {
  using folder = new ScratchFolder('erasure');
  using config = new ScratchFolder('erasure-config');
  const env = settings(config.path);
  const sealed = new Secrets();
  const plain = new Secrets();
  await using plane = await Plane.start({ dataDir: folder.path, env });
  const neighbours = await appendNeighbours(plane);
  const before = await append(plane, [...sealed.events(SEALED), ...plain.events(PLAIN)]);
  await shown(plane, before);
  // The search is worth something: it finds what is plain, in the archive and in snapshots too.
  const places = await eventually('snapshots and archive have it', WAIT_MS, async () => {
    const found = bytesLeft(folder.path, plain.forms);
    const has = (what: string) => found.some((place) => place.startsWith(what));
    const isArchived = found.some((p) => p.includes('segments/') && p.includes('(zstd'));
    return has('archive') && isArchived && has('views') && has('vectors') ? found : undefined;
  });
  assert.ok(places.some((place) => place.startsWith('log/')));
  assert.deepEqual(
    bytesLeft(folder.path, sealed.forms).filter((p) => /^log\/|segments\/|^strong\//.test(p)),
    [],
    'what is sealed is never plain in log, archive or strong store',
  );

  const receipts = [await erase(plane, SEALED), await erase(plane, PLAIN)];
  await gone(plane, before);
  for (const { id, entity } of receipts) {
    const receipt = await eventually(`${entity} is cleared`, WAIT_MS, async () => {
      const now = await expectStatus<Receipt>(200, 'GET', `${plane.ingest}/v1/erasures/${id}`);
      return now.isDone ? now : undefined;
    });
    assert.equal(
      receipt.stores.every(({ isClear }) => isClear),
      true,
    );
    const url = `${plane.ingest}/v1/erasures/${id}/verifications`;
    const verified = await expectStatus<Receipt>(200, 'POST', url, { body: {} });
    assert.deepEqual([verified.isClear, entity], [true, entity]);
    const log = receipt.stores.find(({ store }) => store === 'log');
    assert.equal(log?.until !== undefined, entity === PLAIN, 'the log keeps what is plain');
  }
  const left = bytesLeft(folder.path, new Map([...sealed.forms]));
  assert.deepEqual(left, []);
  const plainLeft = bytesLeft(folder.path, plain.forms).filter((p) => !p.startsWith('log/'));
  assert.deepEqual(plainLeft, []);
  await untouched(plane, neighbours);

  // A rebuild from archive and log equals what lives.
  const live = await planeDigests(plane);
  await plane.stop();
  assert.ok(removeDerivedStores(folder.path).length > 0);
  await using rebuilt = await plane.again();
  await eventually('the rebuilt views and index are equal', WAIT_MS, async () => {
    const again = await planeDigests(rebuilt);
    return JSON.stringify(again) === JSON.stringify(live) || undefined;
  });
  await gone(rebuilt, before);
  await untouched(rebuilt, neighbours);

  // Later events are of a new key, and ids of before are new again.
  const [again] = sealed.events(SEALED);
  const after = await append(rebuilt, [{ ...(again as SentEvent), attributes: { is: 'new' } }]);
  const url = rebuilt.materializer + entityPath(SEALED, { after });
  const view = await expectStatus<EntityView>(200, 'GET', url);
  assert.deepEqual([view.attributes, view.sequence], [{ is: 'new' }, 6]);
  const past = await call('GET', rebuilt.materializer + entityPath(SEALED, { asOf: before }));
  assert.equal((past.body as ProblemBody).code, 'erased');
});

interface Receipt {
  readonly id: string;
  readonly entity: string;
  readonly isDone: boolean;
  readonly isClear?: boolean;
  readonly stores: readonly {
    readonly store: string;
    readonly isClear: boolean;
    readonly until?: string;
  }[];
}

async function erase(plane: Plane, entity: string): Promise<Receipt> {
  const body = { entity, reason: 'asked for' };
  return await expectStatus(202, 'POST', `${plane.ingest}/v1/erasures`, { body });
}

async function append(plane: Plane, body: readonly SentEvent[]): Promise<string> {
  const url = `${plane.ingest}/v1/events`;
  return (await expectStatus<AppendAnswer>(201, 'POST', url, { body })).token;
}

async function appendNeighbours(plane: Plane): Promise<string> {
  const events = Array.from({ length: NEIGHBOURS }, (_, n) => [
    ...new Secrets().events(`patient/n${n}`),
    ...new Secrets().events(`user/n${n}`),
  ]);
  const token = await append(plane, events.flat());
  const views = await Promise.all(NEIGHBOUR_NAMES.map((entity) => viewOf(plane, entity, token)));
  return JSON.stringify(views);
}

const NEIGHBOUR_NAMES = Array.from({ length: NEIGHBOURS }, (_, n) => [
  `patient/n${n}`,
  `user/n${n}`,
]).flat();

async function untouched(plane: Plane, before: string): Promise<void> {
  const views = await Promise.all(NEIGHBOUR_NAMES.map((entity) => viewOf(plane, entity)));
  assert.equal(JSON.stringify(views), before);
  const answer = await search(plane, {});
  assert.equal(new Set(answer.results.map(({ entity }) => entity)).size, 2 * NEIGHBOURS);
}

async function viewOf(plane: Plane, entity: string, after?: string): Promise<unknown> {
  const url = plane.materializer + entityPath(entity, after === undefined ? {} : { after });
  const { attributes, memories, sequence } = await expectStatus<EntityView>(200, 'GET', url);
  return { attributes, memories, sequence };
}

function search(plane: Plane, more: Record<string, unknown>): Promise<SearchAnswer> {
  const body = { text: 'violin', topK: 100, ...more };
  return expectStatus(200, 'POST', `${plane.vectors}/v1/search`, { body });
}

/** Both entities can be read, found and recalled. */
async function shown(plane: Plane, after: string): Promise<void> {
  const answer = await search(plane, { after, waitMs: 20_000 });
  const entities = new Set(answer.results.map(({ entity }) => entity));
  assert.ok(entities.has(SEALED) && entities.has(PLAIN));
  const query = { filter: { kind: 'b' }, limit: 100 };
  const found = await expectStatus<{ entities: { entity: string }[] }>(
    200,
    'POST',
    `${plane.materializer}/v1/query`,
    { body: query },
  );
  assert.equal(found.entities.length, 2 * NEIGHBOURS + 2);
}

/** No read tells of either entity, at no time; those that are of the entity itself say why. */
async function gone(plane: Plane, before: string): Promise<void> {
  const { materializer } = plane;
  for (const entity of [SEALED, PLAIN]) {
    const id = encodeURIComponent(`${entity}-1`);
    const paths = [
      entityPath(entity),
      entityPath(entity, { asOf: before }),
      entityPath(entity, { asOf: `event:${entity}-1` }),
      `${entityPath(entity)}/history`,
      `/v1/events?entity=${entity}&id=${id}`,
    ];
    for (const path of paths) {
      const { status, body } = await call('GET', materializer + path);
      assert.deepEqual([status, (body as ProblemBody).code, path], [410, 'erased', path]);
    }
  }
  for (const more of [{}, { asOf: before }]) {
    const body = { filter: { kind: 'b' }, limit: 100, ...more };
    const found = await expectStatus<{ entities: { entity: string }[]; erased?: number }>(
      200,
      'POST',
      `${materializer}/v1/query`,
      { body },
    );
    assert.equal(found.erased, 2);
    assert.ok(found.entities.every(({ entity }) => entity !== SEALED && entity !== PLAIN));
    const answer = await search(plane, more);
    assert.ok(answer.results.every(({ entity }) => entity !== SEALED && entity !== PLAIN));
  }
}
