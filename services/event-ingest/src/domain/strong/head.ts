import { hash } from 'node:crypto';
import { MemplaneError } from '@memplane/contracts';
import type { EntityName, Intent, IntentEvent } from './program.ts';

/** Leases that one entity remembers. */
export const HEAD_LEASES_MAX = 16;
/** Events whose ids a head remembers; what is older is the view's to know. */
export const HEAD_IDS_MAX = 128;

/** The highest fencing token of a lease that got in. */
export interface HeadLease {
  readonly name: string;
  readonly token: number;
  /** Appends need a token, until the holder releases the lease. */
  readonly guards: boolean;
}

/** Events that were appended together. */
export interface RecentBatch {
  readonly nonce: string;
  /** Of each event: a name of its id, and the beginning of its digest. */
  readonly ids: readonly (readonly [id: string, digest: string])[];
}

/** All that decides about appends to one strong entity. */
export interface Head {
  /** With the events of the intent. */
  readonly sequence: number;
  /** The version of the zones' table under which it was started. */
  readonly zones: number;
  readonly leases: readonly HeadLease[];
  readonly intent?: Intent | undefined;
  /** The newest last; their last event has the head's sequence. */
  readonly recent: readonly RecentBatch[];
}

export function headKey({ tenant, entity }: EntityName): string {
  // Entities have one slash and no colon; keys of the store the other way round.
  return `${tenant}.head.${entity.replace('/', ':')}`;
}

const FORMAT_VERSION = 1;

export function encodeHead(head: Head): string {
  return JSON.stringify({ format: FORMAT_VERSION, ...head });
}

/** @throws MemplaneError `storage_damaged` for another format */
export function decodeHead(text: string): Head {
  const { format, ...head } = JSON.parse(text) as Head & { format: number };
  if (format === FORMAT_VERSION) return head;
  throw new MemplaneError('storage_damaged', `A head has format ${format}.`);
}

/** A head of an entity that has none yet, or had one under an earlier table. */
export function startedHead(sequence: number, zones: number, before?: Head): Head {
  const recent = before?.sequence === sequence ? before.recent : [];
  return { sequence, zones, leases: before?.leases ?? [], recent };
}

const ID_CHARS = 16;
const DIGEST_CHARS = 12;

export const idName = (id: string) => hash('sha256', id, 'base64url').slice(0, ID_CHARS);

/** The first sequence whose id is remembered. */
export function reach(head: Head): number {
  const ids = head.recent.reduce((sum, batch) => sum + batch.ids.length, 0);
  return head.sequence - ids + 1;
}

export interface SeenId {
  readonly sequence: number;
  readonly nonce: string;
  readonly isSame: boolean;
}

/** An event that the head remembers by its id. */
export function seenId(head: Head, id: string, digest: string): SeenId | undefined {
  const name = idName(id);
  let end = head.sequence;
  for (const { nonce, ids } of head.recent.toReversed()) {
    const at = ids.findIndex(([known]) => known === name);
    end -= ids.length;
    if (at < 0) continue;
    const isSame = ids[at]?.[1] === digest.slice(0, DIGEST_CHARS);
    return { sequence: end + at + 1, nonce, isSame };
  }
  return undefined;
}

/** The head with the next events of one append counted; they are decided by an intent. */
export function withEvents(head: Head, nonce: string, events: readonly IntentEvent[]): Head {
  const ids = events.map(({ id, digest }) => [idName(id), digest.slice(0, DIGEST_CHARS)] as const);
  return {
    ...head,
    sequence: head.sequence + events.length,
    recent: newest([...head.recent, { nonce, ids }]),
  };
}

function newest(batches: readonly RecentBatch[]): RecentBatch[] {
  let ids = 0;
  let from = batches.length;
  while (from > 0 && (ids === 0 || ids + (batches[from - 1]?.ids.length ?? 0) <= HEAD_IDS_MAX)) {
    from--;
    ids += batches[from]?.ids.length ?? 0;
  }
  return batches.slice(from);
}

export function withoutIntent({ intent: _, ...head }: Head): Head {
  return head;
}

/** The head without what was before the event of that id; without all, where it does not know it. */
export function forgetful(head: Head, id: string): Head {
  const name = idName(id);
  const from = head.recent.findLastIndex(({ ids }) => ids.some(([known]) => known === name));
  const recent = from < 0 ? [] : head.recent.slice(from);
  const { intent, ...others } = head;
  const isKept = recent.some(({ nonce }) => nonce === intent?.nonce);
  return isKept ? { ...others, intent, recent } : { ...others, recent };
}

/** How many events of before a sequence it has in full, or by their ids. */
export function remembered(head: Head, sequence: number): number {
  const intended = head.intent?.events.length ?? 0;
  const first = Math.min(reach(head), head.sequence - intended + 1);
  return Math.max(0, sequence - first);
}

/**
 * The head with a lease's token raised; a lower one changes nothing.
 * @param guards `undefined`: as it was
 * @returns undefined when too many other leases guard the entity
 */
export function withLease(
  head: Head,
  name: string,
  token: number,
  guards: boolean | undefined,
): Head | undefined {
  const before = head.leases.find((lease) => lease.name === name);
  if (before !== undefined && before.token > token) return head;
  const raised = { name, token, guards: guards ?? before?.guards ?? false };
  const others = head.leases.filter((lease) => lease.name !== name);
  if (others.length >= HEAD_LEASES_MAX) {
    // One that guards nothing may go: a token of it is then checked with the lease itself.
    const idle = others.findIndex((lease) => !lease.guards);
    if (idle < 0) return undefined;
    others.splice(idle, 1);
  }
  return { ...head, leases: [...others, raised] };
}

/** What an append asks for beside its events. */
export interface Conditions {
  readonly expectedSequence?: number | undefined;
  readonly lease?: string | undefined;
  readonly fencingToken?: number | undefined;
}

/**
 * Whether the token of an append may pass: as far as the head knows.
 * @returns `ask`: only the lease itself knows
 * @throws MemplaneError `fencing_token_required`, `stale_fencing_token`
 */
export function judgeToken(head: Head, conditions: Conditions): 'passes' | 'ask' {
  const { lease: name, fencingToken: token } = conditions;
  const guards = head.leases.filter((lease) => lease.guards);
  const isGuard = guards.some((lease) => lease.name === name);
  if (guards.length > 0 && !isGuard) {
    const leases = guards.map((lease) => lease.name);
    throw new MemplaneError('fencing_token_required', `The entity is guarded by ${leases}.`, {
      extra: { leases },
    });
  }
  if (name === undefined || token === undefined) return 'passes';
  const known = head.leases.find((lease) => lease.name === name);
  if (known === undefined || known.token < token) return 'ask';
  if (known.token > token) throw staleToken(name, token, known.token);
  return 'passes';
}

/** @throws MemplaneError `sequence_conflict` */
export function judgeSequence(head: Head, { expectedSequence }: Conditions): void {
  if (expectedSequence === undefined || expectedSequence === head.sequence) return;
  const { sequence } = head;
  throw new MemplaneError(
    'sequence_conflict',
    `The entity is at sequence ${sequence}, not ${expectedSequence}.`,
    { field: 'expectedSequence', extra: { currentSequence: sequence, expectedSequence } },
  );
}

export function staleToken(lease: string, token: number, current: number): MemplaneError {
  const why =
    token > current ? `was never given out (the newest is ${current})` : `is behind ${current}`;
  return new MemplaneError('stale_fencing_token', `The token ${token} of ${lease} ${why}.`, {
    field: 'fencingToken',
    extra: { lease, currentFencingToken: current },
  });
}
