import { parseHlc } from '@memplane/clock';
import {
  cloudEventToAppendSchema,
  eventToAppendSchema,
  LIMITS,
  MemplaneError,
  partitionKey,
} from '@memplane/contracts';
import { validate } from '@memplane/runtime/validate';
import { checkEmbedding } from './embedding.ts';
import {
  type CarriedStamps,
  fromCloudEvent,
  isCloudEvent,
  type SentEvent,
  type StrongMembers,
  strongMember,
} from './sent-event.ts';

/** One event of a request, checked by itself. */
export interface CheckedEvent {
  readonly sent: SentEvent;
  readonly carried: CarriedStamps;
  /** What only holds for entities of a strong zone; undefined: nothing of the kind. */
  readonly strong?: StrongMembers | undefined;
  /** How problems name it: `body` or `body[3]`. */
  readonly field: string;
}

export interface CheckOptions {
  readonly tenant: string;
  readonly dimensions: number;
}

const NOTHING: CarriedStamps = {};

/**
 * Checks a whole body: one event or an array of them. Each goes through the schema of its own form,
 * so that problems speak of that form, and the first bad one ends the work: a body of a million
 * wrong things costs no more than one.
 * @throws MemplaneError that names the first wrong field
 */
export function checkBody(body: unknown, options: CheckOptions): CheckedEvent[] {
  if (!Array.isArray(body)) return [checkEvent(body, 'body', options)];
  const max = LIMITS.batch_events_max;
  if (body.length > max) {
    throw new MemplaneError('invalid_request', `body: at most ${max} events, not ${body.length}.`, {
      field: 'body',
      extra: { limit: 'batch_events_max', max },
    });
  }
  const checked = new Array<CheckedEvent>(body.length);
  for (let i = 0; i < body.length; i++) checked[i] = checkEvent(body[i], `body[${i}]`, options);
  return checked;
}

/** @throws MemplaneError that names the first wrong field */
export function checkEvent(value: unknown, field: string, options: CheckOptions): CheckedEvent {
  const checked = isCloudEvent(value)
    ? checkCloudEvent(value, field, options)
    : checkShortForm(value, field);
  const embedding = embeddingOf(checked.sent);
  if (embedding) checkEmbedding(embedding, options.dimensions, `${field}.${checked.memoryAt}`);
  return checked;
}

type Checked = CheckedEvent & { readonly memoryAt: string };

function checkShortForm(value: unknown, field: string): Checked {
  const event = validate(eventToAppendSchema, value, field, 'invalid_event');
  const strong = strongMembersOf(event);
  return { sent: event, carried: NOTHING, strong, field, memoryAt: 'memory.embedding' };
}

function checkCloudEvent(value: unknown, field: string, options: CheckOptions): Checked {
  const event = validate(cloudEventToAppendSchema, value, field, 'invalid_event');
  const strong = strongMembersOf(event);
  if (event.tenant !== undefined && event.tenant !== options.tenant) {
    throw wrong(`${field}.tenant`, 'must be the tenant of the caller');
  }
  const key = partitionKey(options.tenant, event.subject);
  if (event.partitionkey !== undefined && event.partitionkey !== key) {
    throw wrong(`${field}.partitionkey`, `must be ${key}, or absent`);
  }
  if (event.hlc !== undefined) parseHlc(event.hlc);
  const carried = { traceparent: event.traceparent, hlc: event.hlc };
  const sent = fromCloudEvent(event);
  return { sent, carried, strong, field, memoryAt: 'data.memory.embedding' };
}

function embeddingOf(sent: SentEvent) {
  const memory = sent.memory;
  return memory !== undefined && 'embedding' in memory ? memory.embedding : undefined;
}

function strongMembersOf(event: StrongMembers): StrongMembers | undefined {
  if (strongMember(event) === undefined) return undefined;
  const { expectedSequence, lease, fencingToken } = event;
  return { expectedSequence, lease, fencingToken };
}

function wrong(field: string, why: string): MemplaneError {
  return new MemplaneError('invalid_event', `${field}: ${why}.`, { field });
}
