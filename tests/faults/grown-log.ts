import { pause } from '@memplane/runtime';
import {
  type AppendAnswer,
  call,
  checkHits,
  checkView,
  type EntityView,
  entityPath,
  eventually,
  expectStatus,
  type FeedRecord,
  Fold,
  forEachAtMost,
  type Plane,
  readAppliedEnds,
  readEntity,
  type SearchAnswer,
  sameJson,
} from '@memplane/testkit';
import type { CrashLoad } from './crash-load.ts';

/** What reads at one moment answered, to be asked for again once the log has grown. */
export interface Remembered {
  readonly token: string;
  /** RFC 3339: later than all that is in them, and earlier than what is appended next. */
  readonly time: string;
  readonly views: readonly EntityView[];
  readonly found: readonly (readonly [entity: string, results: unknown])[];
}

const AT_ONCE = 8;

/** A log that grows, read as its consumers read it, and compared with what was acknowledged. */
export class GrownLog {
  readonly #load: CrashLoad;

  constructor(load: CrashLoad) {
    this.#load = load;
  }

  /** What views and search answer now, as of a token. */
  async remember(plane: Plane): Promise<Remembered> {
    await readAppliedEnds(plane.materializer);
    const { token } = await expectStatus<{ token: string }>(
      200,
      'POST',
      `${plane.materializer}/v1/cuts`,
      { body: {} },
    );
    const entities = new Set(
      this.#load.answered.flatMap(({ events }) => events.map((e) => e.entity)),
    );
    const views: EntityView[] = [];
    const found: [string, unknown][] = [];
    await forEachAtMost(AT_ONCE, entities, async (entity) => {
      const { view, results } = await askPast(plane, entity, token);
      views.push(view);
      found.push([entity, results]);
    });
    const time = new Date().toISOString();
    await pause(10, new AbortController().signal);
    return { token, time, views, found };
  }

  /** Every way in which what was told of before is told otherwise now. */
  async checkPast(plane: Plane, { token, views, found }: Remembered): Promise<string[]> {
    const wrong: string[] = [];
    const hits = new Map(found);
    await forEachAtMost(AT_ONCE, views, async (expected) => {
      const { entity } = expected;
      const { view, results } = await askPast(plane, entity, token);
      for (const field of ['attributes', 'memories', 'sequence'] as const) {
        if (sameJson(view[field], expected[field])) continue;
        wrong.push(`${entity}: ${field} is ${JSON.stringify(view[field])} as of ${token}`);
      }
      if (view.asOf.offset !== expected.asOf.offset) {
        wrong.push(`${entity}: at ${view.asOf.offset}, it was at ${expected.asOf.offset}`);
      }
      if (!sameJson(results, hits.get(entity))) {
        wrong.push(`${entity}: search as of ${token} finds ${JSON.stringify(results)}`);
      }
    });
    return wrong;
  }

  /** Every way in which the newest views of a plane are not those, or go on in another way. */
  async checkRestored(plane: Plane, { views }: Remembered): Promise<string[]> {
    const wrong: string[] = [];
    await forEachAtMost(AT_ONCE, views, async (expected) => {
      const { entity, sequence } = expected;
      const view = await readEntity(plane.materializer, entity);
      for (const field of ['attributes', 'memories', 'sequence'] as const) {
        if (!sameJson(view[field], expected[field])) wrong.push(`${entity}: ${field} differs`);
      }
      const body = { type: 'Noted', entity, attributes: { isRestored: true } };
      const url = `${plane.ingest}/v1/events`;
      const { token } = await expectStatus<AppendAnswer>(201, 'POST', url, { body });
      const after = await readEntity(plane.materializer, entity, { after: token });
      if (after.sequence !== sequence + 1) wrong.push(`${entity}: does not go on`);
    });
    return wrong;
  }

  /** Every way in which a log of so many partitions, views, search and counters fail the ledger. */
  async check(plane: Plane, partitions: number): Promise<string[]> {
    const ends = await readAppliedEnds(plane.materializer);
    const wrong: string[] = [];
    if (ends.size !== partitions) wrong.push(`${ends.size} partitions have applied all`);
    const fold = new Fold();
    for (const partition of ends.keys()) {
      let last = -1;
      for (const record of await readPartition(plane, partition)) {
        if (record.offset <= last) wrong.push(`${partition}/${record.offset} follows ${last}`);
        last = record.offset;
        fold.apply(record);
      }
    }
    wrong.push(...this.#checkAcknowledged(fold), ...checkOrder(fold));
    await forEachAtMost(AT_ONCE, fold.entities.values(), async (folded) => {
      const view = await readEntity(plane.materializer, folded.entity);
      wrong.push(...checkView(view, folded));
      wrong.push(...(await checkHistory(plane, folded.entity, folded.eventIds)));
      if (view !== undefined) wrong.push(...(await checkSearch(plane, view)));
    });
    return [...wrong, ...(await checkCounter(plane, fold.first.size))];
  }

  /** Each acknowledged event is there, at its offset, in a partition that came out of its own. */
  #checkAcknowledged({ first }: Fold): string[] {
    const wrong: string[] = [];
    for (const [key, acks] of this.#load.ledger.acknowledged) {
      const record = first.get(key);
      if (record === undefined) wrong.push(`acknowledged but lost: ${key}`);
      for (const { partition, offset, hlc } of record === undefined ? [] : acks) {
        const isThere = record?.offset === offset && record.event.hlc === hlc;
        if (isThere && isDescendant(record.partition, partition)) continue;
        wrong.push(`${key}: acknowledged at ${partition}/${offset}, is at ${placeOf(record)}`);
      }
    }
    for (const key of first.keys()) {
      if (!this.#load.ledger.sent.has(key)) wrong.push(`nobody sent ${key}`);
    }
    return wrong;
  }
}

const placeOf = (record: FeedRecord | undefined) => `${record?.partition}/${record?.offset}`;

const PARTITIONS_FIRST = 12;

function isDescendant(partition: number, of: number): boolean {
  return partition >= of && (partition - of) % PARTITIONS_FIRST === 0;
}

/** In the order of its offsets, an entity's stamps rise. */
function checkOrder({ first }: Fold): string[] {
  const newest = new Map<string, FeedRecord>();
  const wrong: string[] = [];
  for (const record of first.values()) {
    const { subject, hlc } = record.event;
    const before = newest.get(subject);
    newest.set(subject, record);
    if (before === undefined) continue;
    if (before.partition !== record.partition) wrong.push(`${subject} is in two partitions`);
    if (before.event.hlc >= hlc) wrong.push(`${subject}: ${hlc} follows ${before.event.hlc}`);
  }
  return wrong;
}

/** All of a partition's feed. Offsets of records that went to another partition are not told. */
async function readPartition(plane: Plane, partition: number): Promise<FeedRecord[]> {
  const records: FeedRecord[] = [];
  for (let from = 0; ; ) {
    const path = `/v1/feeds/agent-events?partition=${partition}&from=${from}`;
    const { text } = await call('GET', plane.materializer + path, { timeoutMs: 20_000 });
    const lines = text.split('\n').filter((line) => line !== '');
    records.push(...lines.map((line) => JSON.parse(line) as FeedRecord));
    const last = records.at(-1)?.offset ?? -1;
    if (lines.length === 0) return records;
    from = last + 1;
  }
}

async function checkHistory(
  plane: Plane,
  entity: string,
  ids: readonly string[],
): Promise<string[]> {
  const url = `${plane.materializer}${entityPath(entity).replace(/\?.*$/, '')}/history`;
  const found: string[] = [];
  for (let from: number | undefined = 0; from !== undefined; ) {
    const page: HistoryPage = await expectStatus(200, 'GET', `${url}?from=${from}&limit=500`);
    found.push(...page.events.filter(({ rejected }) => !rejected).map(({ event }) => event.id));
    from = page.next;
  }
  return sameJson(found, ids) ? [] : [`the history of ${entity} is ${found.join(' ')}`];
}

interface HistoryPage {
  readonly events: readonly {
    readonly rejected?: string;
    readonly event: { readonly id: string };
  }[];
  readonly next?: number;
}

async function checkSearch(plane: Plane, view: EntityView): Promise<string[]> {
  const body = { text: 'number', entity: view.entity, topK: 50, waitMs: 10_000 };
  let wrong: string[] = [];
  await eventually(`the index has ${view.entity}`, 60_000, async () => {
    wrong = checkHits(view, (await search(plane, body)).results);
    return wrong.length === 0 ? true : undefined;
  }).catch((error: unknown) => {
    if (wrong.length === 0) wrong.push(`${view.entity}: ${error}`);
  });
  return wrong;
}

async function checkCounter(plane: Plane, events: number): Promise<string[]> {
  let value: number | undefined;
  const url = `${plane.crdt}/v1/counters/events_total`;
  await eventually('events_total', 30_000, async () => {
    ({ value } = await expectStatus<{ value: number }>(200, 'GET', url));
    return value === events ? true : undefined;
  }).catch(() => {});
  return value === events ? [] : [`events_total is ${value}, the log has ${events}`];
}

async function askPast(plane: Plane, entity: string, token: string) {
  const asOf = `token:${token}`;
  const url = plane.materializer + entityPath(entity, { asOf });
  const view = await expectStatus<EntityView>(200, 'GET', url);
  const { results } = await search(plane, {
    text: 'number',
    entity,
    topK: 50,
    asOf,
    waitMs: 10_000,
  });
  return { view, results };
}

function search(plane: Plane, body: Readonly<Record<string, unknown>>): Promise<SearchAnswer> {
  return expectStatus<SearchAnswer>(200, 'POST', `${plane.vectors}/v1/search`, { body });
}
