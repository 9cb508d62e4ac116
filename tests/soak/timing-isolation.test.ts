/**
 * What is not there and what is another tenant's can not be told apart by the time of the answer:
 * pairs of both, interleaved, and the chance that one that is another's takes longer (AUC).
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import {
  bearerOf,
  call,
  figure,
  Plane,
  type PlaneService,
  ScratchFolder,
  type Seeded,
  scaled,
  testSeed,
  writeTenants,
} from '@memplane/testkit';
import { type Asked, HttpLine } from './http-line.ts';

const PAIRS = scaled('timing_pairs', { ci: 500, soak: 10_000 });
/** Five standard errors of an AUC of equal distributions, sqrt(1 / 6n), and no less than the goal. */
const AUC_OFF_MAX = Math.max(0.02, 5 / Math.sqrt(6 * PAIRS));
/** What the check has to find; 0: as much as the middle half of the answers spreads, on any machine. */
const PLANTED_US = scaled('timing_planted_us', { ci: 0, soak: 50 });
const NAMES = 200;
const REPLAYS = 10;
const WARM_UP_PAIRS = 100;

/** Names of the same length: B has one, nobody has the other. */
interface Name {
  readonly text: string;
  readonly replay: string;
}
interface Surface {
  readonly what: string;
  readonly service: PlaneService;
  readonly ask: (name: Name) => Asked;
  /** Of a miss. */
  readonly status: number;
}

const get = (path: string): Asked => ({ method: 'GET', path });
const SURFACES: readonly Surface[] = [
  {
    what: 'getEntity',
    service: 'materializer',
    ask: ({ text }) => get(`/v1/entities/user/${text}`),
    status: 404,
  },
  {
    what: 'getHistory',
    service: 'materializer',
    ask: ({ text }) => get(`/v1/entities/user/${text}/history`),
    status: 404,
  },
  {
    what: 'getEvent',
    service: 'materializer',
    ask: ({ text }) => get(`/v1/events?id=${text}`),
    status: 404,
  },
  {
    what: 'getReplay',
    service: 'materializer',
    ask: ({ replay }) => get(`/v1/replays/${replay}`),
    status: 404,
  },
  {
    what: 'getCounter',
    service: 'crdt-sync',
    ask: ({ text }) => get(`/v1/counters/${text}`),
    status: 200,
  },
  {
    what: 'releaseLease',
    service: 'event-ingest',
    ask: ({ text }) => ({ method: 'DELETE', path: `/v1/leases/${text}?holder=h` }),
    status: 404,
  },
  {
    what: 'search',
    service: 'vector-index',
    ask: ({ text }) => ({
      method: 'POST',
      path: '/v1/search',
      body: { text, entity: `user/${text}`, topK: 1 },
    }),
    status: 200,
  },
];

const folder = new ScratchFolder('timing');
const random = testSeed('timing-isolation');
let plane: Plane;
let foreign: readonly Name[];
let missing: readonly Name[];

before(async () => {
  const roles = ['writer', 'reader'];
  const tokens = { a: { tenant: 'a', roles }, b: { tenant: 'b', roles } };
  const env = {
    MEMPLANE_TENANTS: writeTenants(folder.path, tokens),
    MEMPLANE_EMBEDDING_DIMENSIONS: '4',
  };
  plane = await Plane.start({ dataDir: `${folder.path}/plane`, env });
  // At random, so that neither kind stands together in a store.
  const texts = Array.from({ length: NAMES * 2 }, (_, i) => `${random.word(12)}${1000 + i}`);
  // As many replays as B has: an id that was asked for a moment ago is quicker to send and to read.
  const replays = Array.from({ length: REPLAYS }, () => crypto.randomUUID());
  missing = texts.slice(NAMES).map((text, i) => ({ text, replay: replays[i % REPLAYS] ?? '' }));
  foreign = await ofB(texts.slice(0, NAMES));
  // A has something too, elsewhere.
  await write('a', 'event-ingest', '/v1/events', { type: 'Noted', entity: 'user/own', id: 'own' });
});
after(async () => {
  await plane[Symbol.asyncDispose]();
  folder[Symbol.dispose]();
});

async function write(
  token: string,
  service: PlaneService,
  path: string,
  body: unknown,
  method = 'POST',
): Promise<Record<string, unknown>> {
  const options = { headers: bearerOf(token), body };
  const answer = await call<Record<string, unknown>>(method, plane.url(service) + path, options);
  assert.ok(answer.status < 300, answer.text);
  return answer.body;
}

/** Everything that B has, under names that A will ask for. */
async function ofB(texts: readonly string[]): Promise<Name[]> {
  const events = texts.map((text) => ({
    id: text,
    type: 'Noted',
    entity: `user/${text}`,
    attributes: { text },
    memory: { id: 'm', text },
  }));
  const { token } = await write('b', 'event-ingest', '/v1/events', events);
  const search = { text: 'x', topK: 1, after: token, waitMs: 30_000 };
  await write('b', 'vector-index', '/v1/search', search);
  const replays: string[] = [];
  for (let i = 0; i < REPLAYS; i++) {
    const body = { entities: [`user/${texts[i]}`] };
    replays.push(String((await write('b', 'materializer', '/v1/replays', body))['id']));
  }
  const names: Name[] = [];
  for (const [i, text] of texts.entries()) {
    await write('b', 'crdt-sync', `/v1/counters/${text}/increments`, { by: 1 });
    const lease = { holder: 'h', ttlMs: 3_600_000 };
    await write('b', 'event-ingest', `/v1/leases/${text}`, lease, 'PUT');
    names.push({ text, replay: replays[i % REPLAYS] ?? '' });
  }
  return names;
}

interface Sample {
  readonly us: number;
  readonly isForeign: boolean;
}

/** @param plantedUs how much longer what is another's is made to take */
async function measure(
  surface: Surface,
  line: HttpLine,
  order: Seeded,
  plantedUs = 0,
): Promise<Sample[]> {
  const samples: Sample[] = [];
  const one = async (isForeign: boolean): Promise<void> => {
    const name = order.pick(isForeign ? foreign : missing);
    const startedMs = performance.now();
    const status = await line.ask(surface.ask(name));
    const plantedEndMs = performance.now() + (isForeign ? plantedUs / 1000 : 0);
    while (performance.now() < plantedEndMs);
    samples.push({ us: (performance.now() - startedMs) * 1000, isForeign });
    assert.equal(status, surface.status, `${surface.what} ${name.text}`);
  };
  for (let pair = -WARM_UP_PAIRS; pair < PAIRS; pair++) {
    if (pair === 0) samples.length = 0;
    const first = order.chance(0.5);
    await one(first);
    await one(!first);
  }
  return samples;
}

/** The chance that a foreign one took longer than a missing one: Mann and Whitney's U. */
function aucOf(samples: readonly Sample[]): number {
  const sorted = [...samples].sort((a, b) => a.us - b.us);
  let ranks = 0;
  for (let at = 0; at < sorted.length; ) {
    let end = at;
    while (end < sorted.length && sorted[end]?.us === sorted[at]?.us) end++;
    const rank = (at + 1 + end) / 2;
    for (; at < end; at++) if (sorted[at]?.isForeign) ranks += rank;
  }
  const n = samples.length / 2;
  return (ranks - (n * (n + 1)) / 2) / (n * n);
}

/** Of the middle half, in microseconds. */
function spreadOf(samples: readonly Sample[]): number {
  const sorted = samples.map(({ us }) => us).sort((a, b) => a - b);
  const quarter = Math.floor(sorted.length / 4);
  return (sorted[sorted.length - 1 - quarter] ?? 0) - (sorted[quarter] ?? 0);
}

for (const surface of SURFACES) {
  test(`${surface.what}: a miss and what is another's take the same time`, async () => {
    using line = await HttpLine.open(plane.ports[surface.service], 'a');
    const samples = await measure(surface, line, random.fork(SURFACES.indexOf(surface)));
    const auc = aucOf(samples);
    const sorted = samples.map(({ us }) => us).sort((a, b) => a - b);
    figure(`AUC of ${surface.what}, ${PAIRS} pairs`, auc.toFixed(4));
    figure(`median of ${surface.what}`, Math.round(sorted[PAIRS] ?? 0), 'µs');
    assert.ok(Math.abs(auc - 0.5) <= AUC_OFF_MAX, `${auc}, of 0.5 ± ${AUC_OFF_MAX.toFixed(3)}`);
  });
}

test("a little more for what is another's is found", async () => {
  const [surface] = SURFACES;
  assert.ok(surface !== undefined);
  using line = await HttpLine.open(plane.ports[surface.service], 'a');
  const spread = spreadOf(await measure(surface, line, random.fork(98)));
  const plantedUs = PLANTED_US === 0 ? spread : PLANTED_US;
  const auc = aucOf(await measure(surface, line, random.fork(99), plantedUs));
  figure(`AUC with ${Math.round(plantedUs)} µs planted`, auc.toFixed(4));
  assert.ok(auc - 0.5 > AUC_OFF_MAX, `${auc} is within 0.5 ± ${AUC_OFF_MAX.toFixed(3)}`);
});
