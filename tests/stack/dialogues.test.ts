import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import {
  type AppendAnswer,
  call,
  chunks,
  type EntityView,
  type ExpectedState,
  entityPath,
  Fold,
  figure,
  forEachAtMost,
  readAppliedEnds,
  readDialogues,
  readLog,
  type ShortEventLike,
  sameJson,
} from '@memplane/testkit';
import { isPassing, persist } from './persist.ts';
import { StackPlane } from './stack-plane.ts';

const STATES = 5_465;
const INVOKED_BATCH_EVENTS = 100;
const VISIBLE_WITHIN_MS = 180_000;
const READERS = 8;

const dialogues = readDialogues();
let plane: StackPlane;
before(async () => {
  plane = await StackPlane.connect();
});

test('dialogues half invoked, half published: every state as annotated', async () => {
  const { events, expected } = renamed('a');
  const started = performance.now();
  await Promise.all([invokeAll(events.filter(isInvoked)), publishAll(events.filter(isPublished))]);
  figure('dialogues sent through sidecars in', Math.round(performance.now() - started), 'ms');
  await assertEveryState(expected);
  figure('all states read as annotated after', Math.round(performance.now() - started), 'ms');
  await assertEachAppliedOnce(events);
});

test('one instance of every service killed in the middle: every state as annotated', async () => {
  const { events, expected } = renamed('b');
  const invoked = events.filter(isInvoked);
  let killed: Promise<void> | undefined;
  const progress = (sent: number) => {
    if (sent < invoked.length / 3) return;
    killed ??= killOneOfEach(1);
  };
  await Promise.all([invokeAll(invoked, progress), publishAll(events.filter(isPublished))]);
  assert.ok(killed, 'instances were killed');
  await killed;
  await plane.restore();
  await assertEveryState(expected);
  await assertEachAppliedOnce(events);
});

/** The same dialogues under other names. */
function renamed(run: string): { events: ShortEventLike[]; expected: ExpectedState[] } {
  const rename = (entity: string) => entity.replace('/', `/${run}_`);
  return {
    events: dialogues.events.map((event) => ({ ...event, entity: rename(event.entity) })),
    expected: dialogues.expected.map((state) => ({ ...state, entity: rename(state.entity) })),
  };
}

/** Each dialogue is wholly invoked or wholly published. */
function isInvoked({ entity }: { readonly entity: string }): boolean {
  return [...entity].reduce((sum, char) => sum + char.charCodeAt(0), 0) % 2 === 0;
}

function isPublished(event: { readonly entity: string }): boolean {
  return !isInvoked(event);
}

async function invokeAll(
  events: readonly ShortEventLike[],
  onSent: (sent: number) => void = () => {},
): Promise<void> {
  let sent = 0;
  for (const body of chunks(events, INVOKED_BATCH_EVENTS)) {
    const url = `${plane.ingest}/v1/events`;
    const answer = await persist<AppendAnswer>(201, 'POST', url, { body });
    assert.equal(answer.accepted.length, body.length);
    sent += body.length;
    onSent(sent);
  }
}

async function publishAll(events: readonly ShortEventLike[]): Promise<void> {
  await plane.publish(events.map((event) => ({ event, partitionKey: event.entity })));
}

async function killOneOfEach(instance: number): Promise<void> {
  const services = ['event-ingest', 'materializer', 'crdt-sync', 'vector-index'];
  await plane.kill(...services.map((service) => `${service}-${instance}`));
  await plane.restore();
}

async function assertEveryState(expected: readonly ExpectedState[]): Promise<void> {
  assert.equal(expected.length, STATES);
  const deadline = performance.now() + VISIBLE_WITHIN_MS;
  const wrong: string[] = [];
  await forEachAtMost(READERS, expected, async (state) => {
    const view = await stateAt(state, deadline);
    if (sameJson(view.attributes, state.attributes)) return;
    wrong.push(`${state.entity} as of ${state.after}: ${JSON.stringify(view.attributes)}`);
  });
  assert.deepEqual(wrong.slice(0, 10), []);
}

/** What was published is there a little later than it is accepted. */
async function stateAt({ entity, after }: ExpectedState, deadline: number): Promise<EntityView> {
  const url = plane.materializer + entityPath(entity, { asOf: `event:${after}` });
  for (;;) {
    const answer = await call<EntityView>('GET', url, { timeoutMs: 30_000 });
    if (answer.status === 200) return answer.body;
    const says = `${answer.status} ${answer.text.slice(0, 300)}`;
    if (answer.status !== 404 && !isPassing(answer)) throw new Error(`GET ${url}: ${says}`);
    if (performance.now() > deadline) throw new Error(`GET ${url}: still ${says}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** The log holds each event, and its views have applied it once; nothing is among dead letters. */
async function assertEachAppliedOnce(events: readonly ShortEventLike[]): Promise<void> {
  const fold = new Fold();
  const ends = await readAppliedEnds(plane.materializer, 60_000);
  for (const record of await readLog(plane.materializer, ends)) fold.apply(record);
  const entities = new Set(events.map(({ entity }) => entity));
  const folded = [...fold.entities.values()].filter(({ entity }) => entities.has(entity));
  assert.equal(folded.length, entities.size);
  assert.equal(
    folded.reduce((sum, { sequence }) => sum + sequence, 0),
    events.length,
  );
  assert.equal(fold.rejected, 0);
  await forEachAtMost(READERS, folded, async ({ entity, sequence }) => {
    const url = plane.materializer + entityPath(entity);
    const view = await persist<EntityView>(200, 'GET', url);
    assert.equal(view.sequence, sequence, entity);
  });
}
