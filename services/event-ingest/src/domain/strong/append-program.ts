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
  withIntent,
  withLease,
  withoutIntent,
} from './head.ts';
import { decodeLease, leaseKey } from './lease.ts';
import {
  type EntityName,
  get,
  type IntentEvent,
  type Located,
  locate,
  type Place,
  type Program,
  pauseBefore,
  produce,
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
  /** Names this append; unlike any other. */
  readonly nonce: string;
  /** The version of the zones' table in force. */
  readonly zones: number;
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
 */
export function* finishedHead(of: EntityName, zones: number): Program<FoundHead> {
  const stored = yield* get(headKey(of));
  if (stored === undefined) {
    return { head: startedHead(yield* viewSequence(of), zones), version: undefined };
  }
  const head = decodeHead(stored.value);
  if (head.intent !== undefined) yield* produce(of, head.intent);
  if (head.zones >= zones) return { head, version: stored.version };
  // The entity may have been eventual in between: the view has counted what came then.
  const started = startedHead(yield* viewSequence(of), zones, head);
  return { head: started, version: stored.version };
}

/**
 * Appends the events of one entity, all or none, and says where they stand. The append is decided
 * when its intent is in the head; from then on it happens, whoever finishes it.
 * @throws MemplaneError `sequence_conflict`, `stale_fencing_token`, `fencing_token_required`,
 * `id_reused`, `no_quorum` (it may have been appended, or will be), what effects throw
 */
export function* appendProgram(order: AppendOrder): Program<readonly StrongPlace[]> {
  /** Whether an earlier attempt of this append may be in the head. */
  let isDoubtful = false;
  let judged: { readonly version: string | undefined; readonly head: Head } | undefined;
  for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
    yield* pauseBefore(attempt);
    const { head, version } = yield* finishedHead(order, order.zones);
    const known = yield* knownEvents(order, head, isDoubtful);
    if (known.every((event) => event !== undefined)) return known;
    // What was judged is not judged anew while its write may yet come: it would come all the same.
    const isJudged = isDoubtful && version !== undefined && judged?.version === version;
    const before = isJudged && judged ? judged.head : yield* judge(order, head);
    judged = { version, head: before };
    const events = order.events.filter((_, i) => known[i] === undefined);
    const next = withIntent(before, order.nonce, written(events, before.sequence));
    const outcome = yield* write(headKey(order), encodeHead(next), version);
    if (outcome.kind === 'written' && next.intent) {
      return joined(known, yield* produce(order, next.intent), before.sequence);
    }
    isDoubtful = true;
  }
  throw new MemplaneError(
    'no_quorum',
    'The append was not confirmed; it may be done. Repeat it with the same ids.',
    { retryAfterMs: 500 },
  );
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
): Program<{ readonly sequence: number | undefined; readonly nonce: string | undefined }> {
  const stored = yield* get(headKey(of));
  if (stored === undefined) return { sequence: undefined, nonce: undefined };
  const head = decodeHead(stored.value);
  if (head.intent !== undefined) yield* produce(of, head.intent);
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
