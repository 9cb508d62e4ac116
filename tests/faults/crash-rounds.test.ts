import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  checkLog,
  checkOffsets,
  checkView,
  eventKey,
  type FeedRecord,
  Fold,
  figure,
  forEachAtMost,
  Ledger,
  LyingProxy,
  Plane,
  range,
  readAppliedEnds,
  readEntity,
  readLog,
  ScratchFolder,
  sameJson,
  scaled,
  testSeed,
} from '@memplane/testkit';
import { type CrashLoad, crashLoad, newCrashLoad } from './crash-load.ts';

const ROUNDS = scaled('crash_rounds', { ci: 30, soak: 250 });
const WRITERS = 6;

test(`${ROUNDS} rounds of kill -9 at random moments under load`, async () => {
  const random = testSeed('crash rounds');
  using folder = new ScratchFolder('crash');
  const load = newCrashLoad();
  const checked = new CheckedLog(load);
  let plane = await Plane.start({ dataDir: folder.path });
  try {
    for (let round = 0; round < ROUNDS; round++) {
      await killUnderLoad(plane, load, random.fork(round));
      // Now and then the recovery is cut short as well.
      for (let i = 0; i < 2 && random.chance(0.15); i++) {
        const starting = await Plane.launch({ ...plane.options, ports: plane.ports });
        await new Promise((resolve) => setTimeout(resolve, random.int(0, 1_500)));
        await starting.kill();
      }
      plane = await plane.again();
      const wrong = [...load.wrong, ...(await checked.advance(plane))];
      assert.deepEqual(wrong.slice(0, 20), [], `round ${round}\n${plane.logTail()}`);
    }
    assert.deepEqual(await checked.everything(plane), []);
    await assertCheckNoticesALie(plane, checked);
  } finally {
    await plane[Symbol.asyncDispose]();
  }
  const { appends, events, duplicates, reads } = load.counts;
  assert.ok(events > ROUNDS * 5, `the load was real: ${events} events`);
  assert.ok(duplicates > ROUNDS, `repetitions were real: ${duplicates}`);
  figure('crash rounds', ROUNDS);
  figure('crash appends acknowledged', appends);
  figure('crash events acknowledged', events);
  figure('crash duplicates answered', duplicates);
  figure('crash reads', reads);
  figure('crash copies in the log', checked.fold.duplicates);
});

async function killUnderLoad(
  plane: Plane,
  load: CrashLoad,
  random: ReturnType<typeof testSeed>,
): Promise<void> {
  let stopped = false;
  const writers = Array.from(range(WRITERS), (i) =>
    crashLoad(plane, load, random.fork(i), () => stopped),
  );
  await new Promise((resolve) => setTimeout(resolve, random.int(5, 700)));
  await plane.kill();
  stopped = true;
  await Promise.all(writers);
}

/** The log as it was read so far, its fold, and whether both still agree with the plane. */
class CheckedLog {
  readonly fold = new Fold();
  readonly records: FeedRecord[] = [];
  readonly #load: CrashLoad;
  #ends: ReadonlyMap<number, number> = new Map();
  #hlcFloor = '';

  constructor(load: CrashLoad) {
    this.#load = load;
  }

  /** Reads what the log has gained, and checks it and the views of all that it touched. */
  async advance(plane: Plane): Promise<string[]> {
    const ends = await readAppliedEnds(plane.materializer);
    const from = new Map([...this.#ends].map(([partition, end]) => [partition, end + 1]));
    const added = await readLog(plane.materializer, ends, from);
    for (const record of added) this.fold.apply(record);
    const wrong = [
      ...checkOffsets(added),
      ...checkLog(this.#load.ledger, this.fold, added, this.#hlcFloor),
    ];
    for (const [partition, end] of this.#ends) {
      if ((ends.get(partition) ?? -1) < end) wrong.push(`partition ${partition} lost its end`);
    }
    const touched = new Set(added.map((record) => record.event.subject));
    await forEachAtMost(8, touched, async (entity) => {
      wrong.push(...(await this.#checkEntity(plane.materializer, entity)));
    });
    this.records.push(...added);
    this.#ends = ends;
    for (const { event } of added) if (event.hlc > this.#hlcFloor) this.#hlcFloor = event.hlc;
    return wrong;
  }

  /** Reads the whole log once more: nothing in it has changed, and every view agrees. */
  async everything(plane: Plane): Promise<string[]> {
    const again = await readLog(plane.materializer, this.#ends);
    const place = (record: FeedRecord) => `${record.partition}/${record.offset}`;
    const byPlace = new Map(again.map((record) => [place(record), record]));
    const wrong = this.records
      .filter((record) => !sameJson(record, byPlace.get(place(record)) ?? null))
      .map((record) => `changed in the log: ${place(record)}`);
    await forEachAtMost(8, this.fold.entities.keys(), async (entity) => {
      wrong.push(...(await this.#checkEntity(plane.materializer, entity)));
    });
    return wrong;
  }

  async #checkEntity(materializer: string, entity: string): Promise<string[]> {
    const folded = this.fold.entities.get(entity);
    if (folded === undefined) return [`the fold has no ${entity}`];
    const view = await readEntity(materializer, entity).catch((error: Error) => error);
    return view instanceof Error ? [view.message] : checkView(view, folded);
  }
}

/** The checks themselves, on this very plane: a log without one event, a view with one too many. */
async function assertCheckNoticesALie(plane: Plane, checked: CheckedLog): Promise<void> {
  const record = checked.records.at(-1);
  assert.ok(record);
  const key = eventKey(record.event.subject, record.event.id);
  await using liar = await LyingProxy.before(plane.materializer, ({ path }, truth) => {
    if (!path.startsWith(`/v1/entities/${record.event.subject}`)) return undefined;
    const view = JSON.parse(truth.text) as { sequence: number };
    return { ...truth, text: JSON.stringify({ ...view, sequence: view.sequence + 1 }) };
  });
  const folded = checked.fold.entities.get(record.event.subject);
  assert.ok(folded);
  const lie = checkView(await readEntity(liar.url, record.event.subject), folded);
  assert.match(lie.join('\n'), /sequence is/);

  const without = new Fold();
  for (const one of checked.records) {
    if (eventKey(one.event.subject, one.event.id) !== key) without.apply(one);
  }
  const ledger = new Ledger();
  const { partition, offset, event } = checked.fold.first.get(key) ?? record;
  const { id, subject, hlc } = event;
  ledger.acknowledge([{ id, entity: subject, partition, offset, hlc, duplicate: false }]);
  assert.deepEqual(checkLog(ledger, without, [], ''), [`acknowledged but lost: ${key}`]);
}
