import { MemplaneError } from '@memplane/contracts';
import {
  type Conditions,
  decodeHead,
  encodeHead,
  type Head,
  headKey,
  judgeSequence,
  judgeToken,
  reach,
  seenId,
  staleToken,
  startedHead,
  withEvents,
  withLease,
  withoutIntent,
} from './head.ts';
import { decodeLease, leaseKey } from './lease.ts';
import {
  type Check,
  type EntityName,
  get,
  type Intent,
  type IntentEvent,
  type Located,
  locate,
  type Place,
  type Program,
  pauseBefore,
  produce,
  saw,
  viewSequence,
  write,
} from './program.ts';

/** How often a write is tried that others come before, or whose answer is lost. */
export const ATTEMPTS_MAX = 24;

/** An event to append; its text gets its sequence, and the last one of its batch, when that is decided. */
export interface OrderedEvent {
  readonly id: string;
  readonly digest: string;
  /** The id was made here, just now: nobody can have used it before. */
  readonly isFresh: boolean;
  readonly textAt: (sequence: number, last: number) => string;
}

export interface AppendOrder extends EntityName, Conditions {
  readonly events: readonly OrderedEvent[];
  /** Of the events as they were sent, about. */
  readonly bytes: number;
  /** Names this append; unlike any other. */
  readonly nonce: string;
  /** The version of the zones' table in force. */
  readonly zones: number;
  /** Called between reading the head and writing it, and before anything goes into the log. */
  readonly check?: Check;
}

/** Where an event of an append stands. */
export interface StrongPlace extends Place {
  readonly sequence: number | undefined;
  readonly duplicate: boolean;
}

interface FoundHead {
  readonly head: Head;
  /** Undefined: it is not in the store. */
  readonly version: string | undefined;
}

/**
 * Reads the head with its intent finished: an intent is produced again, whoever wrote it, since its
 * ids make that harmless, and only then may anything follow it.
 * @param mayBeOld good for a write alone, which shows whether others came before
 */
function* finishedHead(
  of: EntityName,
  zones: number,
  check: Check,
  mayBeOld = false,
): Program<FoundHead> {
  const stored = yield* get(headKey(of), mayBeOld);
  if (stored === undefined) {
    return { head: startedHead(yield* viewSequence(of), zones), version: undefined };
  }
  const head = decodeHead(stored.value);
  yield* saw(of, head);
  if (head.intent !== undefined) yield* produce(of, head.intent, check);
  if (head.zones >= zones) return { head, version: stored.version };
  // The entity may have been eventual in between: the view has counted what came then.
  const started = startedHead(yield* viewSequence(of), zones, head);
  return { head: started, version: stored.version };
}

/** How an append ended: where its events stand, or why it was refused or is not known to be done. */
export type AppendEnd =
  | { readonly places: readonly StrongPlace[] }
  | { readonly error: MemplaneError };

/** What comes of appends on one head, once that is written. */
interface Plan {
  /** Undefined: the head is not in the store. */
  readonly version: string | undefined;
  readonly outcomes: readonly Planned[];
  /** Undefined: nothing is new. */
  readonly next: Head | undefined;
}

type Planned =
  | { readonly error: MemplaneError }
  /** `places`: of events that the entity has already; the others follow on `before`. */
  | { readonly known: readonly (StrongPlace | undefined)[]; readonly before: number };

/**
 * Appends the events of one order, all or none, and says where they stand.
 * @throws MemplaneError `sequence_conflict`, `stale_fencing_token`, `fencing_token_required`,
 * `id_reused`, `no_quorum` (it may have been appended, or will be), what effects throw
 */
export function* appendProgram(order: AppendOrder): Program<readonly StrongPlace[]> {
  const [appended] = yield* appendAllProgram([order]);
  if (appended === undefined) throw new Error('an append without an end');
  if ('error' in appended) throw appended.error;
  return appended.places;
}

/**
 * Appends what several orders bring for one entity: one after the other, each all or none, by one
 * write of the head ("group commit"). They are decided when their intent is in the head; from then on
 * they happen, whoever finishes them. No two orders have an id in common.
 * @returns how each ended
 * @throws MemplaneError `no_quorum` (any may have been appended, or will be), what effects throw
 */
export function* appendAllProgram(
  orders: readonly [AppendOrder, ...AppendOrder[]],
): Program<readonly AppendEnd[]> {
  const [first] = orders;
  const check = () => {
    for (const order of orders) order.check?.();
  };
  /** Whether an earlier attempt of these appends may be in the head. */
  let isDoubtful = false;
  let plan: Plan | undefined;
  for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
    yield* pauseBefore(attempt);
    const isFirst = attempt === 0;
    let found = yield* finishedHead(first, first.zones, check, isFirst);
    // What was judged is not judged anew while its write may yet come: it would come all the same.
    const isJudged = isDoubtful && found.version !== undefined && plan?.version === found.version;
    if (!isJudged || plan === undefined) plan = yield* planOf(orders, found, isDoubtful);
    if (isFirst && !plan.outcomes.every(isNew)) {
      // Who refuses, or tells of a repetition, has to know the newest.
      found = yield* finishedHead(first, first.zones, check);
      plan = yield* planOf(orders, found, isDoubtful);
    }
    const { next, version } = plan;
    if (next === undefined) return ended(plan, []);
    const outcome = yield* write(headKey(first), encodeHead(next), version);
    if (outcome.kind === 'written' && next.intent) {
      return ended(plan, yield* produced(first, next.intent, check));
    }
    isDoubtful = true;
  }
  throw new MemplaneError(
    'no_quorum',
    'The append was not confirmed; it may be done. Repeat it with the same ids.',
    { retryAfterMs: 500 },
  );
}

/** Judges each order on what the head is after those before it. */
function* planOf(
  orders: readonly AppendOrder[],
  { head, version }: FoundHead,
  isDoubtful: boolean,
): Program<Plan> {
  const outcomes: Planned[] = [];
  const events: IntentEvent[] = [];
  let next = head;
  for (const order of orders) {
    try {
      const known = yield* knownEvents(order, next, isDoubtful);
      const before = next.sequence;
      if (known.includes(undefined)) {
        order.check?.();
        const judged = yield* judge(order, next);
        const news = order.events.filter((_, i) => known[i] === undefined);
        const added = written(news, before);
        next = withEvents(judged, order.nonce, added);
        events.push(...added);
      }
      outcomes.push({ known, before });
    } catch (error) {
      if (!(error instanceof MemplaneError)) throw error;
      outcomes.push({ error });
    }
  }
  const [nonce] = orders.flatMap(({ nonce: one }, i) => (isNew(outcomes[i]) ? [one] : []));
  if (nonce === undefined) return { version, outcomes, next: undefined };
  return { version, outcomes, next: { ...next, intent: { nonce, events } } };
}

function isNew(planned: Planned | undefined): boolean {
  return planned !== undefined && 'known' in planned && planned.known.includes(undefined);
}

/** What is decided and could not be produced fails those alone whose events it holds. */
function* produced(
  of: EntityName,
  intent: Intent,
  check: Check,
): Program<readonly Place[] | MemplaneError> {
  try {
    return yield* produce(of, intent, check);
  } catch (error) {
    if (error instanceof MemplaneError) return error;
    throw error;
  }
}

function ended({ outcomes }: Plan, places: readonly Place[] | MemplaneError): AppendEnd[] {
  let from = 0;
  return outcomes.map((planned) => {
    if ('error' in planned) return planned;
    const { known, before } = planned;
    if (places instanceof MemplaneError) {
      return isNew(planned) ? { error: places } : { places: joined(known, [], before) };
    }
    const to = from + known.filter((event) => event === undefined).length;
    const mine = places.slice(from, to);
    from = to;
    return { places: joined(known, mine, before) };
  });
}

function written(events: readonly OrderedEvent[], sequence: number): IntentEvent[] {
  const last = sequence + events.length;
  return events.map(({ id, digest, textAt }, i) => ({
    id,
    digest,
    text: textAt(sequence + i + 1, last),
  }));
}

function joined(
  known: readonly (StrongPlace | undefined)[],
  places: readonly Place[],
  before: number,
): StrongPlace[] {
  let next = 0;
  return known.map((event) => {
    if (event !== undefined) return event;
    const place = places[next++];
    if (place === undefined) throw new Error('the log lost a record');
    return { ...place, sequence: before + next, duplicate: false };
  });
}

/** Checks what the append asks for. @returns the head with its token */
function* judge(order: AppendOrder, head: Head): Program<Head> {
  const verdict = judgeToken(head, order);
  const { lease: name, fencingToken: token } = order;
  let raised = head;
  if (name !== undefined && token !== undefined && verdict === 'ask') {
    const stored = yield* get(leaseKey(order.tenant, name));
    const newest = stored === undefined ? 0 : decodeLease(stored.value).token;
    if (token !== newest) throw staleToken(name, token, newest);
    raised = withLease(head, name, token, undefined) ?? head;
  }
  judgeSequence(head, order);
  return raised;
}

/**
 * The events of the order that the entity has already: by the head's own memory, and for what is
 * older by the view's.
 */
function* knownEvents(
  order: AppendOrder,
  head: Head,
  isDoubtful: boolean,
): Program<(StrongPlace | undefined)[]> {
  const known: (StrongPlace | undefined)[] = [];
  for (const event of order.events) {
    const mayBeKnown = isDoubtful || !event.isFresh;
    known.push(mayBeKnown ? yield* knownEvent(order, head, event, isDoubtful) : undefined);
  }
  return known;
}

function* knownEvent(
  order: AppendOrder,
  head: Head,
  event: OrderedEvent,
  isDoubtful: boolean,
): Program<StrongPlace | undefined> {
  const { id, digest, isFresh } = event;
  const seen = seenId(head, id, digest);
  if (seen !== undefined) {
    if (!seen.isSame) throw idReused(order, id);
    const found = yield* locate(order, id, seen.sequence);
    if (found === undefined) throw notYetVisible(order);
    const { sequence, nonce } = seen;
    return { ...placeOf(found), sequence, duplicate: nonce !== order.nonce };
  }
  const oldest = reach(head);
  if (oldest <= 1) return undefined;
  const found = yield* locate(order, id, oldest - 1);
  if (found === undefined) return undefined;
  if (found.digest.slice(0, 21) !== digest.slice(0, 21)) throw idReused(order, id);
  return { ...placeOf(found), sequence: found.sequence, duplicate: !(isDoubtful && isFresh) };
}

function placeOf({ partition, offset, hlc }: Located): Place {
  return { partition, offset, hlc };
}

/** Takes the intent out of a head whose events are in the log; does nothing where it has gone on. */
export function* clearProgram(of: EntityName, nonce: string): Program<void> {
  const stored = yield* get(headKey(of));
  if (stored === undefined) return;
  const head = decodeHead(stored.value);
  if (head.intent?.nonce !== nonce) return;
  yield* write(headKey(of), encodeHead(withoutIntent(head)), stored.version);
}

/**
 * What a linearizable read must see at least. Without a head there were no strong appends: the read
 * must see all that is in the log.
 */
export function* readProgram(
  of: EntityName,
  zones: number,
  check?: Check,
): Program<{ readonly sequence: number | undefined; readonly nonce: string | undefined }> {
  const stored = yield* get(headKey(of));
  if (stored === undefined) return { sequence: undefined, nonce: undefined };
  const head = decodeHead(stored.value);
  if (head.intent !== undefined) yield* produce(of, head.intent, check);
  const sequence = head.zones >= zones ? head.sequence : undefined;
  return { sequence, nonce: head.intent?.nonce };
}

function idReused({ entity }: EntityName, id: string): MemplaneError {
  const what = `The id ${JSON.stringify(id)} of ${entity} was used for other content.`;
  return new MemplaneError('id_reused', what, { field: 'id', extra: { id, entity } });
}

function notYetVisible({ entity }: EntityName): MemplaneError {
  const what = `An event of ${entity} is decided, but not to be seen yet.`;
  return new MemplaneError('not_yet_visible', what, { retryAfterMs: 200 });
}
