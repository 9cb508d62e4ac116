import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { LostAnswer, scaled } from '@memplane/testkit';
import { naiveFold } from './naive-fold.ts';
import {
  type Instance,
  Plane,
  patiently,
  pauseMs,
  SESSION_MS,
  until,
} from './testing-instances.ts';

// Owners die, stop for a while and come and go, while events are appended and read. Whatever happens:
// an answer is never older than what anybody was told before the question, with a token or without.

const COMINGS = scaled('owner_comings', { ci: 10, soak: 50 });
const PARTITIONS = 6;
const ENTITIES = Array.from({ length: 24 }, (_, i) => `user/${i}`);
const READERS = 4;
const APPEND_PAUSE_MS = 15;
/** Generous: the machine of a test has much else to do. */
const SILENCE_MS_MAX = 10 * SESSION_MS;

let plane: Plane;
let load: Load;

before(async () => {
  plane = await Plane.start(PARTITIONS);
  await plane.add('a');
  await plane.add('b');
  load = new Load(plane);
  load.start();
});
after(async () => {
  await load?.stop();
  await plane?.stop();
});

/** Appends to counting entities, and reads them through whichever instance. */
class Load {
  readonly stale: string[] = [];
  readonly wrong: string[] = [];
  readonly outcomes = new Map<string, number>();
  reads = 0;
  readonly #plane: Plane;
  /** By entity: the count of the newest acknowledged event, with its token. */
  readonly #acknowledged = new Map<string, { n: number; token: string }>();
  /** By entity: the highest count that any answer has told. */
  readonly #told = new Map<string, number>();
  /** When each partition's reads were last answered, and its longest silence since it was asked for. */
  #silentMs = 0;
  readonly #lastOk = new Map<string, number>();
  #stopping = false;
  #work: Promise<unknown> = Promise.resolve();
  #next = 0;

  constructor(plane: Plane) {
    this.#plane = plane;
  }

  start(): void {
    const readers = Array.from({ length: READERS }, (_, i) => this.#keepReading(i));
    this.#work = Promise.all([this.#keepAppending(), ...readers]);
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    await this.#work;
  }

  /** The longest that an entity was not answered for, since the last time this was asked. */
  takeSilence(): number {
    const silent = this.#silentMs;
    this.#silentMs = 0;
    return Math.round(silent);
  }

  async #keepAppending(): Promise<void> {
    while (!this.#stopping) {
      const n = this.#next++;
      const entity = ENTITIES[n % ENTITIES.length] as string;
      const token = await this.#plane.append(`e${n}`, entity, { attributes: { n } });
      this.#acknowledged.set(entity, { n, token });
      await pauseMs(APPEND_PAUSE_MS);
    }
  }

  async #keepReading(reader: number): Promise<void> {
    for (let i = reader; !this.#stopping; i += 7) {
      const entity = ENTITIES[i % ENTITIES.length] as string;
      const { instances } = this.#plane;
      const instance = instances[i % instances.length] as Instance;
      if (instance.isRunning && !instance.isStopped) await this.read(instance, entity, i % 2 === 0);
      else await pauseMs(5);
    }
  }

  /** One read, judged by what was known when it was asked. */
  async read(instance: Instance, entity: string, withToken: boolean): Promise<void> {
    const acknowledged = this.#acknowledged.get(entity);
    if (acknowledged === undefined) return await pauseMs(5);
    const atLeast = Math.max(this.#told.get(entity) ?? -1, withToken ? acknowledged.n : -1);
    const query = withToken ? `?after=${acknowledged.token}` : '';
    this.reads++;
    let outcome: string;
    try {
      const { status, body, text } = await instance.get(`/v1/entities/${entity}${query}`, 40_000);
      outcome = status === 200 ? '200' : String(body?.code);
      if (status === 200) {
        const told = body.attributes.n as number;
        if (told < atLeast) {
          this.stale.push(`${instance.name} told ${entity} ${told} after ${atLeast}: ${text}`);
        }
        this.#told.set(entity, Math.max(told, this.#told.get(entity) ?? -1));
        const now = performance.now();
        this.#silentMs = Math.max(this.#silentMs, now - (this.#lastOk.get(entity) ?? now));
        this.#lastOk.set(entity, now);
      } else if (!['owner_moving', 'not_yet_visible', 'shutting_down'].includes(outcome)) {
        // Before its first event is applied an entity is not there; later it always is.
        if (outcome !== 'not_found' || atLeast >= 0) this.wrong.push(text);
      }
    } catch (error) {
      if (!(error instanceof LostAnswer)) throw error;
      outcome = 'lost';
    }
    this.outcomes.set(outcome, (this.outcomes.get(outcome) ?? 0) + 1);
  }
}

async function isShared(): Promise<boolean> {
  const owned = new Map<string, number>();
  const running = plane.instances.filter(({ isRunning }) => isRunning);
  const { body } = await (running[0] as Instance).get('/v1/shards');
  for (const { owner } of body.shards) owned.set(owner, (owned.get(owner) ?? 0) + 1);
  const share = PARTITIONS / running.length;
  return running.every(({ name }) => owned.get(name) === share);
}

/** How long it takes until an instance answers for every entity at once, in ms. */
async function untilAnswered(instance: Instance): Promise<number> {
  const begun = performance.now();
  await until('every entity is answered for', async () => {
    const answers = await Promise.all(
      ENTITIES.map((entity) => instance.get(`/v1/entities/${entity}?waitMs=0`)),
    );
    return answers.every(({ status }) => status === 200);
  });
  const tookMs = Math.round(performance.now() - begun);
  assert.ok(tookMs < SILENCE_MS_MAX, `it took ${tookMs} ms`);
  return tookMs;
}

/** Everything acknowledged is there once, and every instance says so. */
async function checkViews(): Promise<void> {
  const afterAll = plane.token();
  const ends = plane.records.map((records) => Math.max(-1, ...records.map((r) => r.offset)));
  const records = plane.records.map((own) => [...own].sort((a, b) => a.offset - b.offset));
  const fold = naiveFold(records.flat());
  assert.equal(fold.duplicates, 0);
  for (const instance of plane.instances) {
    if (!instance.isRunning) continue;
    for (const entity of ENTITIES) {
      const path = `/v1/entities/${entity}?asOf=token:${afterAll}`;
      const { status, body } = await patiently(() => instance.get(path));
      assert.equal(status, 200, JSON.stringify(body));
      const expected = fold.entities.get(entity);
      assert.deepEqual(
        [body.attributes, body.sequence],
        [expected?.attributes, expected?.sequence],
        `${instance.name}: ${entity}`,
      );
    }
  }
  assert.ok(ends.every((end) => end >= 0));
  assert.deepEqual(load.stale, []);
  assert.deepEqual(load.wrong, []);
}

describe('owners die, stop and move under load', () => {
  test('an owner that is killed: others answer for what it had', async (t) => {
    await until('both own a half', isShared);
    for (let round = 0; round < 2; round++) {
      const [a, b] = plane.instances as [Instance, Instance];
      const victim = round % 2 === 0 ? a : b;
      const survivor = victim === a ? b : a;
      await victim.end('SIGKILL');
      t.diagnostic(
        `killed ${victim.name}: all is answered again after ${await untilAnswered(survivor)} ms`,
      );
      await checkViews();
      await victim.start();
      await until('both own a half again', isShared);
    }
    await checkViews();
  });

  test('an owner that is stopped and goes on serves nothing old', async (t) => {
    for (let round = 0; round < 2; round++) {
      const sleeper = plane.instances[round % 2] as Instance;
      sleeper.stop();
      // Questions that wait for it while it is stopped are answered when it goes on.
      const waiting = ENTITIES.map((entity) => load.read(sleeper, entity, false));
      await pauseMs(SESSION_MS + 3_000);
      const late = ENTITIES.map((entity) => load.read(sleeper, entity, true));
      sleeper.goOn();
      await Promise.all([...waiting, ...late]);
      await until('both own a half again', isShared);
      t.diagnostic(`stopped ${sleeper.name}: an entity was silent for ${load.takeSilence()} ms`);
      await checkViews();
    }
  });

  test(`instances come and go ${COMINGS} times`, async (t) => {
    const c = await plane.add('c');
    for (let round = 0; round < COMINGS; round++) {
      const leaver = [c, plane.instances[0], plane.instances[1]][round % 3] as Instance;
      await until('all own a part', isShared);
      await leaver.end(round % 2 === 0 ? 'SIGTERM' : 'SIGKILL');
      await pauseMs(300);
      await leaver.start();
    }
    await until('all own a part', isShared);
    t.diagnostic(`an entity was silent for ${load.takeSilence()} ms`);
    t.diagnostic(`${load.reads} reads: ${JSON.stringify([...load.outcomes])}`);
    await load.stop();
    await checkViews();
    assert.ok(plane.records.flat().length > 500, 'the load hardly ran');
    const digests = await Promise.all(plane.instances.map((one) => one.get('/v1/digest')));
    assert.equal(new Set(digests.map(({ body }) => body.digest)).size, 1);
    const { body } = await c.get('/v1/shards');
    const total = body.shards.reduce(
      (n: number, s: { eventsTotal: number }) => n + s.eventsTotal,
      0,
    );
    assert.equal(total, plane.records.flat().length);
  });
});
