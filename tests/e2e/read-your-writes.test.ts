import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  type AppendAnswer,
  call,
  type EntityView,
  entityPath,
  expectStatus,
  figure,
  forEachAtMost,
  LyingProxy,
  Plane,
  percentile,
  range,
  ScratchFolder,
  type SearchAnswer,
  scaled,
  testSeed,
} from '@memplane/testkit';

/** Half of them each way. */
const ROUND_TRIPS = scaled('round_trips', { ci: 4_000, soak: 40_000 });
const AT_ONCE = 24;
const MIXED_READS = scaled('mixed_reads', { ci: 2_000, soak: 20_000 });

interface Endpoints {
  readonly ingest: string;
  readonly materializer: string;
  readonly vectors: string;
}

test(`${ROUND_TRIPS} concurrent append → read and append → search: none stale`, async () => {
  const random = testSeed('read your writes');
  using folder = new ScratchFolder('ryw');
  await using plane = await Plane.start({ dataDir: folder.path });
  const stale: string[] = [];
  const times = { read: [] as number[], search: [] as number[] };
  await forEachAtMost(AT_ONCE, range(ROUND_TRIPS), async (n, worker) => {
    const kind = n % 2 === 0 ? 'read' : 'search';
    const started = performance.now();
    const wrong = await roundTrip(plane, kind, n, `ryw/${worker}`, random.word(12));
    times[kind].push(performance.now() - started);
    if (wrong !== undefined) stale.push(wrong);
  });
  assert.deepEqual(stale.slice(0, 10), [], `${stale.length} of ${ROUND_TRIPS} were stale`);
  for (const kind of ['read', 'search'] as const) {
    const [p50, p99] = [percentile(times[kind], 0.5), percentile(times[kind], 0.99)];
    figure(`append then ${kind}, p50 and p99`, `${p50.toFixed(1)} and ${p99.toFixed(1)}`, 'ms');
  }

  // The judge itself: planes that forget to wait, or show less than they waited for.
  const forgetful = { ingest: plane.ingest, vectors: plane.vectors };
  await using late = await LyingProxy.before(plane.materializer, (_request, truth) => {
    const view = JSON.parse(truth.text) as EntityView;
    const attributes = { n: (view.attributes['n'] as number) - 1 };
    return { ...truth, text: JSON.stringify({ ...view, attributes }) };
  });
  const lateRead = { ...forgetful, materializer: late.url };
  assert.match((await roundTrip(lateRead, 'read', 1, 'ryw/lie', 'x')) ?? '', /stale/);
  await using empty = await LyingProxy.before(plane.vectors, (_request, truth) => {
    const answer = JSON.parse(truth.text) as SearchAnswer;
    return { ...truth, text: JSON.stringify({ ...answer, results: answer.results.slice(1) }) };
  });
  const emptySearch = { ...forgetful, materializer: plane.materializer, vectors: empty.url };
  assert.match((await roundTrip(emptySearch, 'search', 2, 'ryw/lie', 'lie')) ?? '', /stale/);
});

/** Appends, reads with the token at once, and says what was stale about the answer. */
async function roundTrip(
  at: Endpoints,
  kind: 'read' | 'search',
  n: number,
  entity: string,
  word: string,
): Promise<string | undefined> {
  const text = `note ${word} number${n}`;
  const change = kind === 'read' ? { attributes: { n } } : { memory: { id: `m${n % 7}`, text } };
  const { accepted, token } = await expectStatus<AppendAnswer>(
    201,
    'POST',
    `${at.ingest}/v1/events`,
    {
      body: { type: 'Written', entity, ...change },
    },
  );
  if (kind === 'read') {
    const url = at.materializer + entityPath(entity, { after: token, waitMs: 20_000 });
    const view = await expectStatus<EntityView>(200, 'GET', url);
    return view.attributes['n'] === n ? undefined : `stale: ${n}, read ${JSON.stringify(view)}`;
  }
  const found = await expectStatus<SearchAnswer>(200, 'POST', `${at.vectors}/v1/search`, {
    body: { text: `${word} number${n}`, entity, topK: 3, after: token, waitMs: 20_000 },
  });
  const id = accepted[0]?.id;
  return found.results.some((hit) => hit.eventId === id && hit.memory['text'] === text)
    ? undefined
    : `stale: ${id} not in ${JSON.stringify(found).slice(0, 500)}`;
}

interface Mixed {
  readonly a: number;
  readonly b: number;
}

test(`${MIXED_READS} reads without a token while events go in: none mixes two offsets`, async () => {
  testSeed('mixed offsets');
  using folder = new ScratchFolder('mixed');
  await using plane = await Plane.start({ dataDir: folder.path });
  const entities = ['mixed/1', 'mixed/2', 'mixed/3'];
  for (const entity of entities) {
    const after = await write(plane, entity, 1);
    const url = plane.materializer + entityPath(entity, { after, waitMs: 20_000 });
    await expectStatus<EntityView>(200, 'GET', url);
    const body = { text: 'count', after, waitMs: 20_000 };
    await expectStatus<SearchAnswer>(200, 'POST', `${plane.vectors}/v1/search`, { body });
  }
  let reading = true;
  const writers = entities.map(async (entity) => {
    let k = 1;
    while (reading) await write(plane, entity, ++k);
    return k;
  });
  const wrong: string[] = [];
  const seen = new Set<string>();
  try {
    await forEachAtMost(4, range(MIXED_READS), async (n) => {
      const entity = entities[n % entities.length] ?? 'mixed/1';
      const fault =
        n % 10 === 9 ? await mixedSearch(plane, entity) : await mixedRead(plane, entity, seen);
      if (fault !== undefined) wrong.push(fault);
    });
  } finally {
    reading = false;
    // Before the plane goes, whatever was found.
    await Promise.allSettled(writers);
  }
  const written = (await Promise.all(writers)).reduce((sum, k) => sum + k, 0);
  assert.deepEqual(wrong.slice(0, 10), []);
  assert.ok(seen.size > 20, `reads saw the entities change: ${seen.size} states`);
  figure('events written beside the reads', written);

  // The judge itself: an answer put together from two offsets.
  await using mixer = await LyingProxy.before(plane.materializer, (_request, truth) => {
    const view = JSON.parse(truth.text) as EntityView;
    const attributes = { ...view.attributes, b: (view.attributes['b'] as number) - 1 };
    return { ...truth, text: JSON.stringify({ ...view, attributes }) };
  });
  const lie = await mixedRead({ ...endpoints(plane), materializer: mixer.url }, 'mixed/1', seen);
  assert.match(lie ?? '', /mixes/);
});

function endpoints(plane: Plane): Endpoints {
  return { ingest: plane.ingest, materializer: plane.materializer, vectors: plane.vectors };
}

/** One event that says the same number in two attributes and a memory; returns its token. */
async function write(plane: Plane, entity: string, k: number): Promise<string> {
  const { token } = await expectStatus<AppendAnswer>(201, 'POST', `${plane.ingest}/v1/events`, {
    body: {
      type: 'Counted',
      entity,
      attributes: { a: k, b: k },
      memory: { id: 'm', text: `the count stands at ${k}`, metadata: { k } },
    },
  });
  return token;
}

async function mixedRead(
  at: Endpoints,
  entity: string,
  seen: Set<string>,
): Promise<string | undefined> {
  const url = at.materializer + entityPath(entity);
  const view = await expectStatus<EntityView>(200, 'GET', url);
  const { a, b } = view.attributes as unknown as Mixed;
  const k = view.memories[0]?.metadata?.['k'];
  seen.add(`${entity} ${a}`);
  const whole = a === b && a === k && a === view.sequence && view.memories.length === 1;
  return whole ? undefined : `mixes offsets: ${JSON.stringify(view)}`;
}

/** A search's hits are those of the one cut that it names: the view at that cut says the same. */
async function mixedSearch(at: Endpoints, entity: string): Promise<string | undefined> {
  const found = await expectStatus<SearchAnswer>(200, 'POST', `${at.vectors}/v1/search`, {
    body: { text: 'count stands', topK: 10, filter: { k: { $exists: true } } },
  });
  const url = at.materializer + entityPath(entity, { asOf: `token:${found.token}` });
  const view = await call<EntityView>('GET', url);
  const hits = found.results.filter((hit) => hit.entity === entity);
  const k = view.status === 200 ? view.body.memories[0]?.metadata?.['k'] : undefined;
  const same = hits.length === 1 && hits[0]?.memory.metadata?.['k'] === k;
  return same
    ? undefined
    : `mixes offsets: ${found.token}: ${JSON.stringify(hits)} against ${view.text}`;
}
