import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { apartNet, whyNotApart } from '@memplane/stack';
import {
  call,
  checkHits,
  checkLog,
  checkOffsets,
  checkVectors,
  checkView,
  clusteredVectors,
  type EntityView,
  entityPath,
  eventKey,
  eventually,
  type FeedRecord,
  Fold,
  figure,
  forEachAtMost,
  Ledger,
  range,
  type SearchAnswer,
  type SearchHit,
  type Seeded,
  type SentEvent,
  scaled,
  testSeed,
  type Vector,
} from '@memplane/testkit';
import { crashLoad, newCrashLoad, newEvent } from '../faults/crash-load.ts';
import { Apart } from './apart.ts';
import { consumeAll, consumeEvents } from './console-consumer.ts';
import { isPassing, persist, StackPlane } from './stack-plane.ts';

const ROUNDS = scaled('stack_rounds', { ci: 13, soak: 100 });
const CUT_MS = scaled('stack_cut_ms', { ci: 15_000, soak: 30_000 });
const PAUSE_MS = scaled('stack_pause_ms', { ci: 15_000, soak: 30_000 });
const WRITERS = 4;
const READERS = 8;
const COUNTER = 'faults';
const OURS = 'crash/';

interface Fault {
  readonly name: string;
  readonly parts: readonly string[];
  readonly isPause?: boolean;
  /** Everything by the inbox arrives twice and more, in any order. */
  readonly isDisorder?: boolean;
  /** The part is in a network namespace whose link to Kafka is cut. */
  readonly isCut?: boolean;
}

/** The first thirteen are what a short run has: each kind once. */
const ALL_FAULTS: readonly Fault[] = [
  { name: 'kill -9 Kafka', parts: ['kafka'] },
  { name: 'kill -9 event-ingest', parts: ['event-ingest-1'] },
  { name: 'kill -9 materializer', parts: ['materializer-1'] },
  { name: 'kill -9 crdt-sync', parts: ['crdt-sync-1'] },
  { name: 'kill -9 vector-index', parts: ['vector-index-1'] },
  { name: 'kill -9 sidecars', parts: ['materializer-2-dapr', 'vector-index-2-dapr'] },
  { name: 'kill -9 Redis', parts: ['redis'] },
  { name: 'kill -9 etcd', parts: ['etcd'] },
  { name: 'kill -9 Milvus', parts: ['milvus'] },
  { name: 'SIGSTOP the owner of shards', parts: ['materializer-2'], isPause: true },
  { name: 'duplicated and reordered deliveries', parts: [], isDisorder: true },
  { name: 'cut the owner of shards from Kafka', parts: ['materializer-1'], isCut: true },
  { name: 'cut event-ingest from Kafka', parts: ['event-ingest-2'], isCut: true },
  { name: 'SIGSTOP event-ingest', parts: ['event-ingest-2'], isPause: true },
  { name: 'kill -9 both materializers', parts: ['materializer-1', 'materializer-2'] },
  { name: 'kill -9 sidecars of ingest', parts: ['event-ingest-1-dapr', 'event-ingest-2-dapr'] },
  { name: 'SIGSTOP a sidecar', parts: ['crdt-sync-2-dapr'], isPause: true },
  { name: 'kill -9 the second vector-index', parts: ['vector-index-2'] },
  { name: 'SIGSTOP vector-index', parts: ['vector-index-1'], isPause: true },
];
/** `MEMPLANE_TEST_STACK_FAULTS=cut` runs those alone that are named so. */
const NAMED = process.env['MEMPLANE_TEST_STACK_FAULTS'] ?? '';
const FAULTS = ALL_FAULTS.filter(({ name }) => name.includes(NAMED));

const load = newCrashLoad(clusteredVectors({ seed: 41 }));
const operations = { acknowledged: 0, next: 0 };
const sessions = { changes: 0 };
const SESSIONS = 20;
let copiesAcknowledged = 0;
let vectorsChecked = 0;
const gaps = { append: 0, read: 0, count: 0 };
let plane: StackPlane;
before(async () => {
  plane = await StackPlane.connect();
  await plane.ready();
});

test(`${ROUNDS} rounds of faults under load`, async (t) => {
  const random = testSeed('stack faults');
  const seen: Seen = { hlc: '', ends: new Map() };
  for (const round of range(ROUNDS)) {
    const fault = FAULTS[round % Math.min(FAULTS.length, ROUNDS)] as Fault;
    const skip = fault.isCut === true && noNamespaces();
    await t.test(`${round + 1}: ${fault.name}`, { skip }, async () => {
      await using apart = fault.isCut ? await Apart.start(plane, fault.parts[0] ?? '') : undefined;
      await strike(fault, random.fork(round), apart);
      const records = await consumeEvents(plane);
      const wrong = [...load.wrong.splice(0), ...(await check(records, seen))];
      assert.deepEqual(wrong.slice(0, 20), []);
      for (const { event, partition, offset } of records) {
        if (event.hlc > seen.hlc) seen.hlc = event.hlc;
        seen.ends.set(partition, offset);
      }
    });
  }
  const { appends, events, duplicates, reads } = load.counts;
  assert.ok(events > ROUNDS * 5, `the load was real: ${events} events`);
  figure('fault appends acknowledged', appends);
  figure('fault events acknowledged', events);
  figure('fault duplicates answered', duplicates);
  assert.ok(vectorsChecked > ROUNDS, `vectors were compared: ${vectorsChecked}`);
  figure('second copies acknowledged', copiesAcknowledged);
  figure('fault vectors compared', vectorsChecked);
  figure('fault reads', reads);
  figure('fault increments', operations.acknowledged);
});

test('a subscriber that ignores what is older ends with the views as they are', async () => {
  const newest = new Map<string, { place: readonly number[]; view: EntityView }>();
  for (const { key, value } of await consumeAll(plane, 'memory-views')) {
    const envelope = JSON.parse(value) as { data?: ViewMessage } & ViewMessage;
    const { epoch, ownerEpoch, offset, view } = envelope.data ?? envelope;
    const place = [epoch, offset, ownerEpoch];
    const known = newest.get(key);
    if (known === undefined || isAfter(place, known.place)) newest.set(key, { place, view });
  }
  const ours = [...newest.values()].filter(({ view }) => view.entity.startsWith(OURS));
  assert.ok(ours.length > 0, 'views were published');
  await forEachAtMost(READERS, ours, async ({ view }) => {
    const url = plane.materializer + entityPath(view.entity);
    const live = await persist<EntityView>(200, 'GET', url);
    assert.deepEqual(
      [view.sequence, view.attributes],
      [live.sequence, live.attributes],
      view.entity,
    );
  });
});

interface ViewMessage {
  readonly epoch: number;
  readonly ownerEpoch: number;
  readonly offset: number;
  readonly view: EntityView;
}

function isAfter(a: readonly number[], b: readonly number[]): boolean {
  const at = a.findIndex((value, i) => value !== b[i]);
  return at >= 0 && (a[at] ?? 0) > (b[at] ?? 0);
}

/** Load on; in its midst the fault; load on until all is back and goes well again. */
async function strike(fault: Fault, random: Seeded, apart?: Apart): Promise<void> {
  let stopped = false;
  const last = { append: performance.now(), read: performance.now(), count: performance.now() };
  Object.assign(gaps, { append: 0, read: 0, count: 0 });
  const onDone = (what: keyof typeof gaps) => {
    gaps[what] = Math.max(gaps[what], performance.now() - last[what]);
    last[what] = performance.now();
  };
  const target = { ingest: plane.ingest, materializer: plane.materializer };
  const work = Array.from(range(WRITERS), (i) =>
    crashLoad({ ...target, isRefusal: isPassing, onDone }, load, random.fork(i), () => stopped),
  );
  work.push(publish(random.fork(101), () => stopped, fault.isDisorder === true));
  work.push(count(onDone, () => stopped));
  work.push(changeSessions(random.fork(102), () => stopped));
  try {
    await sleep(random.int(500, 2_000));
    await occur(fault, random, apart);
    await plane.restore();
    await sleep(2_000);
  } finally {
    stopped = true;
    await Promise.all(work);
  }
  const cells = Object.values(gaps).map((ms) => Math.round(ms));
  figure(`longest pause, ${fault.name}`, cells.join(' / '), 'ms (append / read / count)');
}

async function occur(fault: Fault, random: Seeded, apart?: Apart): Promise<void> {
  if (apart) {
    await apart.cutFromKafka(CUT_MS, load, random.fork(103));
  } else if (fault.isPause) {
    for (const part of fault.parts) plane.pause(part);
    await sleep(PAUSE_MS);
    for (const part of fault.parts) plane.resume(part);
  } else {
    await plane.kill(...fault.parts);
    await sleep(random.int(0, 2_000));
  }
}

/** Why this machine can not cut; false where it can. */
function noNamespaces(): string | false {
  return whyNotApart(apartNet(plane.settings.portBase, 0, plane.plans.kafka.port)) ?? false;
}

/** Other events go by the inbox: accepted by the sidecar, appended when ingest gets there. */
async function publish(random: Seeded, stopped: () => boolean, isDisorder: boolean): Promise<void> {
  const past: SentEvent[] = [];
  while (!stopped()) {
    const events = Array.from(range(isDisorder ? 10 : 1), () => newEvent(load, random));
    load.ledger.send(events);
    past.push(...events);
    const again = isDisorder ? Array.from(range(20), () => random.pick(past)) : [];
    const sent = random.shuffle([...events, ...again]);
    // Refused while Kafka is away: then it may be there or not, and nothing was acknowledged.
    await plane
      .publish(sent.map((event) => ({ event, partitionKey: event.entity })))
      .catch(() => {});
    await sleep(50);
  }
}

/** Opens and closes sessions: how many are active is a counter that follows from the log. */
async function changeSessions(random: Seeded, stopped: () => boolean): Promise<void> {
  while (!stopped()) {
    const body = {
      id: `s${sessions.changes++}`,
      type: random.pick(['SessionStarted', 'SessionEnded']),
      entity: `session/faults-${random.int(1, SESSIONS)}`,
    };
    await persist(201, 'POST', `${plane.ingest}/v1/events`, { body });
    await sleep(100);
  }
}

/** By the log alone: a session is active from a start to the next end. */
function activeSessions(fold: Fold): number {
  const active = new Set<string>();
  for (const { event } of fold.first.values()) {
    if (!event.subject.startsWith('session/')) continue;
    if (event.type === 'SessionStarted') active.add(event.subject);
    if (event.type === 'SessionEnded') active.delete(event.subject);
  }
  return active.size;
}

/** Each increment is repeated, with its id, until it is answered. */
async function count(onDone: (what: 'count') => void, stopped: () => boolean): Promise<void> {
  while (!stopped()) {
    const body = { by: 1, opId: `op${operations.next++}` };
    await persist(200, 'POST', `${plane.crdt}/v1/counters/${COUNTER}/increments`, { body });
    operations.acknowledged++;
    onDone('count');
  }
}

/** What the log held after the round before: the highest stamp, and the last offsets. */
interface Seen {
  hlc: string;
  readonly ends: Map<number, number>;
}

async function check(records: readonly FeedRecord[], seen: Seen): Promise<string[]> {
  const fold = new Fold();
  for (const record of records) fold.apply(record);
  const ours = records.filter(({ event }) => event.subject.startsWith(OURS));
  const added = ours.filter(({ partition, offset }) => offset > (seen.ends.get(partition) ?? -1));
  const ledger = judgedByFirstCopies(ours, fold);
  const wrong = [...checkOffsets(records), ...checkLog(ledger, fold, added, seen.hlc)];
  const entities = [...fold.entities.values()].filter(({ entity }) => entity.startsWith(OURS));
  await forEachAtMost(READERS, entities, async (folded) => {
    const after = `${plane.materializer}${entityPath(folded.entity)}`;
    const view = await eventually(`the view of ${folded.entity}`, 60_000, async () => {
      const found = await persist<EntityView>(200, 'GET', after);
      return found.asOf.offset >= folded.lastOffset ? found : undefined;
    });
    wrong.push(...checkView(view, folded), ...(await checkIndex(view)));
    const vectors = await checkVectors(folded, (vector) => nearest(folded.entity, vector));
    wrong.push(...vectors.wrong);
    vectorsChecked += vectors.compared;
  });
  wrong.push(...(await checkCounters(fold)));
  return wrong;
}

/**
 * An append whose answer was lost may be in the log; repeated, it is there twice, and the second
 * copy is what was acknowledged. The views apply the first. Such acknowledgements are taken for ones
 * of the first, where the place that was named really holds a copy; all others stay as they are.
 */
function judgedByFirstCopies(records: readonly FeedRecord[], fold: Fold): Ledger {
  const byPlace = new Map(records.map((one) => [`${one.partition}/${one.offset}`, one]));
  const ledger = new Ledger();
  for (const [key, event] of load.ledger.sent) ledger.sent.set(key, event);
  copiesAcknowledged = 0;
  for (const [key, acks] of load.ledger.acknowledged) {
    const first = fold.first.get(key);
    const judged = acks.map((ack) => {
      const copy = byPlace.get(`${ack.partition}/${ack.offset}`);
      const isCopy =
        first !== undefined &&
        first !== copy &&
        copy?.event.digest === first.event.digest &&
        eventKey(copy.event.subject, copy.event.id) === key &&
        copy.event.hlc === ack.hlc;
      if (!isCopy) return ack;
      copiesAcknowledged++;
      return { ...ack, offset: first.offset, hlc: first.event.hlc };
    });
    ledger.acknowledged.set(key, judged);
  }
  return ledger;
}

/** What a search within the entity finds is what the view has. */
async function checkIndex(view: EntityView): Promise<string[]> {
  const { entity } = view;
  const body = { text: 'number', entity, topK: 20, waitMs: 2_000 };
  let wrong: string[] = [];
  await eventually(`the index has ${entity}`, 60_000, async () => {
    wrong = checkHits(view, (await search(body)).results);
    return wrong.length === 0 ? true : undefined;
  }).catch((error: unknown) => {
    // Whatever failed to be asked was not seen to be right.
    if (wrong.length === 0) wrong.push(`${entity}: ${error}`);
  });
  return wrong;
}

async function nearest(entity: string, vector: Vector): Promise<SearchHit | undefined> {
  return (await search({ vector, entity, topK: 1 })).results[0];
}

function search(body: Readonly<Record<string, unknown>>): Promise<SearchAnswer> {
  return persist<SearchAnswer>(200, 'POST', `${plane.vectors}/v1/search`, { body });
}

/** Counters that follow from the log equal its fold; the others, what was answered. */
async function checkCounters(fold: Fold): Promise<string[]> {
  const expected = new Map([
    ['events_total', fold.first.size],
    ['active_sessions', activeSessions(fold)],
    [COUNTER, operations.acknowledged],
  ]);
  const wrong: string[] = [];
  for (const [name, value] of expected) {
    let found: unknown;
    await eventually(`${name} is ${value}`, 30_000, async () => {
      const answer = await call<{ value: number }>('GET', `${plane.crdt}/v1/counters/${name}`);
      found = answer.status === 200 ? answer.body.value : answer.status;
      return found === value ? true : undefined;
    }).catch(() => wrong.push(`${name} is ${found}, must be ${value}`));
  }
  return wrong;
}
