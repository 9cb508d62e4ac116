import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  type AppendAnswer,
  chunks,
  clusteredVectors,
  type EntityView,
  entityPath,
  expectStatus,
  figure,
  LyingProxy,
  Plane,
  planeDigests,
  removeDerivedStores,
  ScratchFolder,
  type SearchAnswer,
  type SearchHit,
  type Seeded,
  type SentEvent,
  scaled,
  testSeed,
} from '@memplane/testkit';

const ENTITIES = 30;
const PER_ENTITY = 20;
const QUERIES = scaled('as_of_queries', { ci: 40, soak: 400 });
const WORDS = (
  'harbour violin orchard lantern glacier pepper saddle ribbon compass walnut ferry meadow ' +
  'anchor copper velvet thunder basket candle forest island'
).split(' ');

interface Question {
  readonly body: Record<string, unknown>;
  readonly found: SearchAnswer;
}

test('what a search found is found again as of its token, after changes and a rebuild', async () => {
  const random = testSeed('as-of search');
  using folder = new ScratchFolder('as-of');
  await using plane = await Plane.start({ dataDir: folder.path });
  const world = new World(random);
  await world.append(plane, world.firstMemories());
  const questions = await world.ask(plane);
  assert.ok(questions.every(({ found }) => found.results.length > 0));

  await world.append(plane, world.changes());
  assert.deepEqual(await differences(plane.vectors, questions), []);
  const latest = await Promise.all(questions.map(({ body }) => search(plane.vectors, body)));
  const moved = latest.filter((now, i) => !sameHits(now.results, questions[i]!.found.results));
  assert.ok(moved.length > questions.length / 2, 'the changes changed what is found today');

  const second = await world.ask(plane);
  const digests = await planeDigests(plane);
  await plane.kill();
  assert.ok(removeDerivedStores(folder.path).length > 0);
  await using rebuilt = await plane.again();
  assert.deepEqual(await planeDigests(rebuilt), digests);
  assert.deepEqual(await differences(rebuilt.vectors, questions), [], 'the first, after a rebuild');
  assert.deepEqual(await differences(rebuilt.vectors, second), [], 'the second, after a rebuild');
  figure('searches repeated as of their token', questions.length + second.length);

  // The judge itself: two hits that changed places.
  await using liar = await LyingProxy.before(rebuilt.vectors, (_request, truth) => {
    const answer = JSON.parse(truth.text) as SearchAnswer;
    const [first, next, ...rest] = answer.results;
    if (!first || !next) return undefined;
    return { ...truth, text: JSON.stringify({ ...answer, results: [next, first, ...rest] }) };
  });
  const several = questions.filter(({ found }) => found.results.length > 1);
  assert.equal((await differences(liar.url, several)).length, several.length);
});

test('a cut by time is the same each time while appends go on', async () => {
  const random = testSeed('time cuts');
  using folder = new ScratchFolder('time-cuts');
  await using plane = await Plane.start({ dataDir: folder.path });
  const world = new World(random);
  await world.append(plane, world.firstMemories());
  let writing = true;
  const writer = (async () => {
    while (writing) await world.append(plane, world.changes(20));
  })();
  try {
    for (let i = 0; i < 8; i++) {
      const asOf = `time:${new Date().toISOString()}`;
      const body = { ...world.question(i), asOf, waitMs: 20_000 };
      const found = await search(plane.vectors, body);
      const entity = `as-of/${i}`;
      const url = (at: string) =>
        plane.materializer + entityPath(entity, { asOf: at, waitMs: 20_000 });
      const view = await expectStatus<EntityView>(200, 'GET', url(asOf));
      for (let repeat = 0; repeat < 4; repeat++) {
        const again = await search(plane.vectors, body);
        assert.deepEqual(again.results, found.results, asOf);
        assert.equal(again.token, found.token, asOf);
        const exact = await search(plane.vectors, { ...body, asOf: `token:${found.token}` });
        assert.deepEqual(exact.results, found.results, found.token);
        assert.deepEqual(await expectStatus(200, 'GET', url(asOf)), view, asOf);
        const cut = await expectStatus<EntityView>(200, 'GET', url(`token:${found.token}`));
        assert.deepEqual(cut.attributes, view.attributes);
        assert.deepEqual(cut.memories, view.memories);
        assert.equal(cut.sequence, view.sequence);
      }
    }
  } finally {
    writing = false;
    await writer;
  }
});

/** Memories with texts and vectors, their changes, and questions about them; all from one seed. */
class World {
  readonly #random: Seeded;
  readonly #vectors = clusteredVectors({ seed: 11, dimensions: 768 });
  #n = 0;

  constructor(random: Seeded) {
    this.#random = random;
  }

  firstMemories(): SentEvent[] {
    const events: SentEvent[] = [];
    for (let entity = 0; entity < ENTITIES; entity++) {
      for (let memory = 0; memory < PER_ENTITY; memory++) events.push(this.#write(entity, memory));
    }
    return events;
  }

  /** Updates, deletions and new memories. */
  changes(count = ENTITIES * PER_ENTITY): SentEvent[] {
    return Array.from({ length: count }, () => {
      const entity = this.#random.int(0, ENTITIES - 1);
      if (this.#random.chance(0.3)) {
        const id = `m${this.#random.int(0, PER_ENTITY - 1)}`;
        const memory = { id, forgotten: true };
        return { id: `f${this.#n++}`, type: 'Forgot', entity: `as-of/${entity}`, memory };
      }
      return this.#write(entity, this.#random.int(0, PER_ENTITY + 5));
    });
  }

  async append(plane: Plane, events: readonly SentEvent[]): Promise<string> {
    let token = '';
    for (const body of chunks(events, 200)) {
      const url = `${plane.ingest}/v1/events`;
      token = (await expectStatus<AppendAnswer>(201, 'POST', url, { body })).token;
      this.#token = token;
    }
    return token;
  }
  #token = '';

  async ask(plane: Plane): Promise<Question[]> {
    const questions: Question[] = [];
    for (let i = 0; i < QUERIES; i++) {
      const body = this.question(i);
      const after = { after: this.#token, waitMs: 20_000 };
      questions.push({ body, found: await search(plane.vectors, { ...body, ...after }) });
    }
    return questions;
  }

  /** By vector, by vector with a filter, or by text within an entity. */
  question(i: number): Record<string, unknown> {
    const entity = `as-of/${i % ENTITIES}`;
    if (i % 3 === 0) return { vector: this.#vector(), topK: 10 };
    if (i % 3 === 1) return { vector: this.#vector(), topK: 10, filter: { mod: { $lte: 2 } } };
    return { text: `${this.#words(3)} today`, entity, topK: 10 };
  }

  #write(entity: number, memory: number): SentEvent {
    const n = this.#n++;
    return {
      id: `w${n}`,
      type: 'Noted',
      entity: `as-of/${entity}`,
      attributes: { n },
      memory: {
        id: `m${memory}`,
        text: `${this.#words(12)} number ${n}`,
        metadata: { n, mod: n % 10 },
        embedding: { model: 'seeded', values: this.#vector() },
      },
    };
  }

  #words(count: number): string {
    return Array.from({ length: count }, () => this.#random.pick(WORDS)).join(' ');
  }

  #vector(): string {
    const vector = new Float32Array(768);
    this.#vectors.next(vector);
    return Buffer.from(vector.buffer).toString('base64');
  }
}

function search(vectors: string, body: Record<string, unknown>): Promise<SearchAnswer> {
  return expectStatus<SearchAnswer>(200, 'POST', `${vectors}/v1/search`, { body });
}

/** Asks every question as of the token of its first answer, and lists what is not the same. */
async function differences(vectors: string, questions: readonly Question[]): Promise<string[]> {
  const wrong: string[] = [];
  for (const { body, found } of questions) {
    const again = await search(vectors, { ...body, asOf: `token:${found.token}` });
    if (!sameHits(again.results, found.results)) {
      const ids = (hits: readonly SearchHit[]) => hits.map((hit) => `${hit.eventId} ${hit.score}`);
      wrong.push(
        `${'text' in body ? 'text' : 'vector'}: first ${ids(found.results)}, ` +
          `again ${ids(again.results)}`,
      );
    }
  }
  return wrong;
}

function sameHits(a: readonly SearchHit[], b: readonly SearchHit[]): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}
