import type { CloudEventToAppend, EventToAppend, Json, MemoryChange } from '@memplane/contracts';

/**
 * What a sender said, whichever form it came in. Members that were not sent are absent: the digest
 * covers what was said, not what was filled in.
 */
export interface SentEvent {
  readonly id?: string | undefined;
  readonly type: string;
  readonly entity: string;
  readonly source?: string | undefined;
  readonly time?: string | undefined;
  readonly data?: Json | undefined;
  readonly attributes?: { readonly [key: string]: Json } | undefined;
  readonly memory?: MemoryChange | undefined;
  readonly correlationId?: string | undefined;
  readonly causationId?: string | undefined;
}

/** What only a CloudEvent carries. */
export interface CarriedStamps {
  readonly traceparent?: string | undefined;
  readonly hlc?: string | undefined;
}

/** The members of a finished CloudEvent under the names of the short form. */
export function fromCloudEvent(event: CloudEventToAppend): SentEvent {
  const sent: Record<string, unknown> = { id: event.id, type: event.type, entity: event.subject };
  put(sent, 'source', event.source);
  put(sent, 'time', event.time);
  put(sent, 'data', event.data?.data);
  put(sent, 'attributes', event.data?.attributes);
  put(sent, 'memory', event.data?.memory);
  put(sent, 'correlationId', event.correlationid);
  put(sent, 'causationId', event.causationid);
  return sent as unknown as SentEvent;
}

function put(into: Record<string, unknown>, name: string, value: unknown): void {
  if (value !== undefined) into[name] = value;
}

export function isCloudEvent(value: unknown): boolean {
  return typeof value === 'object' && value !== null && Object.hasOwn(value, 'specversion');
}

/** What a strong append asks for beside its events. */
export type StrongMembers = Pick<EventToAppend, 'expectedSequence' | 'lease' | 'fencingToken'>;

const STRONG_MEMBERS = ['expectedSequence', 'lease', 'fencingToken'] as const;

/** The first strong member that an event carries; undefined when there is none. */
export function strongMember(event: StrongMembers): (typeof STRONG_MEMBERS)[number] | undefined {
  return STRONG_MEMBERS.find((name) => event[name] !== undefined);
}
