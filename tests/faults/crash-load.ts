import {
  type Answer,
  type AppendAnswer,
  call,
  type EntityView,
  entityPath,
  eventKey,
  Ledger,
  LostAnswer,
  nextAsBase64,
  type Seeded,
  type SentEvent,
  type VectorSource,
} from '@memplane/testkit';

/** What the rounds have in common: what was sent, what nobody answered, what was answered wrongly. */
export interface CrashLoad {
  readonly ledger: Ledger;
  /** Requests whose answer was lost: repeated later with the same ids, some of them never. */
  readonly unanswered: SentEvent[][];
  readonly answered: { readonly events: SentEvent[]; readonly token: string }[];
  readonly wrong: string[];
  /** Gives memories vectors; absent: they have none. */
  readonly vectors?: VectorSource | undefined;
  readonly counts: { appends: number; events: number; duplicates: number; reads: number };
  nextId: number;
}

/** What the load is put on, directly or through a sidecar. */
export interface CrashTarget {
  readonly ingest: string;
  readonly materializer: string;
  /** Defined once it has ended for good. */
  readonly exit?: unknown;
  /** Whether an answer is one that may come while it is cut down or starting; by default 429, 503, 504. */
  readonly isRefusal?: (answer: Answer) => boolean;
  /** Told of each call that did what was asked. */
  readonly onDone?: (what: 'append' | 'read') => void;
}

const ENTITIES = 60;
const REMEMBERED_REQUESTS_MAX = 400;
/** What a plane may answer that is about to be killed, or is still starting. */
const REFUSALS = new Set([429, 503, 504]);
const isRefused = (target: CrashTarget, answer: Answer) =>
  target.isRefusal?.(answer) ?? REFUSALS.has(answer.status);

export function newCrashLoad(vectors?: VectorSource): CrashLoad {
  return {
    vectors,
    ledger: new Ledger(),
    unanswered: [],
    answered: [],
    wrong: [],
    counts: { appends: 0, events: 0, duplicates: 0, reads: 0 },
    nextId: 0,
  };
}

/** Keeps a plane busy until it is gone: appends, batches, repetitions, reads. */
export async function crashLoad(
  plane: CrashTarget,
  load: CrashLoad,
  random: Seeded,
  stopped: () => boolean,
): Promise<void> {
  while (!stopped()) {
    try {
      if (random.chance(0.25) && load.answered.length > 0) await read(plane, load, random);
      else await append(plane, load, nextRequest(load, random));
    } catch (error) {
      if (!(error instanceof LostAnswer)) throw error;
      if (plane.exit !== undefined || stopped()) return;
    }
  }
}

function nextRequest(load: CrashLoad, random: Seeded): SentEvent[] {
  if (load.unanswered.length > 0 && random.chance(0.4)) {
    return load.unanswered.splice(random.int(0, load.unanswered.length - 1), 1)[0] ?? [];
  }
  if (load.answered.length > 0 && random.chance(0.1)) return random.pick(load.answered).events;
  const size = random.chance(0.6) ? 1 : random.int(2, 40);
  return Array.from({ length: size }, () => newEvent(load, random));
}

export function newEvent(load: CrashLoad, random: Seeded): SentEvent {
  const n = load.nextId++;
  const entity = `crash/${random.int(1, ENTITIES)}`;
  const memory = `m${random.int(1, 5)}`;
  const event: SentEvent = {
    id: `e${n}`,
    type: random.pick(['Noted', 'Changed', 'Forgot']),
    entity,
    data: { n, filler: random.word(random.int(0, 300)) },
  };
  if (random.chance(0.7)) {
    const patch = { last: n, [`k${random.int(1, 8)}`]: random.chance(0.2) ? null : { n } };
    return { ...event, attributes: patch };
  }
  if (random.chance(0.2)) return { ...event, memory: { id: memory, forgotten: true } };
  const text = `number ${n} ${random.word(6)}`;
  const embedding = load.vectors && random.chance(0.5) ? embeddingOf(load.vectors) : undefined;
  return { ...event, memory: { id: memory, text, metadata: { n }, ...embedding } };
}

function embeddingOf(vectors: VectorSource) {
  return { embedding: { model: 'faults', values: nextAsBase64(vectors) } };
}

async function append(plane: CrashTarget, load: CrashLoad, events: SentEvent[]): Promise<void> {
  load.ledger.send(events);
  const body = events.length === 1 ? events[0] : events;
  const url = `${plane.ingest}/v1/events`;
  const answer = await call<AppendAnswer>('POST', url, { body, timeoutMs: 20_000 }).catch(
    (error: unknown) => {
      load.unanswered.push(events);
      throw error;
    },
  );
  if (isRefused(plane, answer)) {
    load.unanswered.push(events);
    return;
  }
  if (answer.status !== 201 || answer.body.accepted.length !== events.length) {
    load.wrong.push(`append of ${events.length}: ${answer.status} ${answer.text.slice(0, 500)}`);
    return;
  }
  for (const [i, one] of answer.body.accepted.entries()) {
    if (one.id !== events[i]?.id) load.wrong.push(`accepted[${i}] is ${one.id}`);
    if (one.duplicate) load.counts.duplicates++;
  }
  load.ledger.acknowledge(answer.body.accepted);
  load.answered.push({ events, token: answer.body.token });
  if (load.answered.length > REMEMBERED_REQUESTS_MAX) load.answered.shift();
  load.counts.appends++;
  load.counts.events += events.length;
  plane.onDone?.('append');
}

/** A read with the token of an append shows at least what was appended. */
async function read(plane: CrashTarget, load: CrashLoad, random: Seeded): Promise<void> {
  const { events, token } = random.pick(load.answered);
  const event = random.pick(events);
  const acks = load.ledger.acknowledged.get(eventKey(event.entity, event.id)) ?? [];
  const offset = Math.max(-1, ...acks.map((ack) => ack.offset));
  const url = plane.materializer + entityPath(event.entity, { after: token });
  const answer = await call<EntityView>('GET', url, { timeoutMs: 20_000 });
  load.counts.reads++;
  if (isRefused(plane, answer)) return;
  if (answer.status !== 200 || answer.body.asOf.offset < offset) {
    load.wrong.push(
      `GET ${url} after an append at ${offset}: ${answer.status} ${answer.text.slice(0, 300)}`,
    );
    return;
  }
  plane.onDone?.('read');
}
