import { parseJson } from '@memplane/runtime/json-body';
import type { PackedBody } from './packed-body.ts';
import { preparePlain } from './plain-body.ts';
import type { PrepareContext, PreparedEvent } from './prepare.ts';
import { checkBody } from './read-body.ts';
import type { StrongMembers } from './sent-event.ts';
import { WrittenEvents } from './written-events.ts';

/** What a body becomes before it is appended; nothing of its bytes is kept. */
export interface PreparedBody {
  readonly events: readonly PreparedEvent[];
  /** Whether the events came in an array: problems name their index then. */
  readonly isBatch: boolean;
  /** The stamps that came with events, which the clock must take in. */
  readonly carried: readonly CarriedHlc[];
  /** What events ask for that are to be of a strong zone. */
  readonly conditions: readonly CarriedConditions[];
  /** Indexes of the events whose ids were made here. */
  readonly madeIds: readonly number[];
}

/** The strong members of one event. */
export interface CarriedConditions extends StrongMembers {
  /** Of the event. */
  readonly index: number;
  /** How problems name the event. */
  readonly field: string;
}

export interface CarriedHlc {
  readonly hlc: string;
  /** How problems name the event. */
  readonly field: string;
}

export interface BodyOrder extends Omit<PrepareContext, 'newId'> {
  /** Of the collection. */
  readonly dimensions: number;
}

export type BodyContext = BodyOrder & PrepareContext;

/**
 * From the bytes of a request to events that only lack their stamp. Pure but for `newId`.
 * @throws MemplaneError that names the first wrong field
 */
export function prepareBody(bytes: Buffer, order: BodyOrder, newId: () => string): PackedBody {
  const context: BodyContext = { ...order, newId };
  return preparePlain(bytes, context) ?? prepareParsed(bytes, context);
}

/** By way of the values: this settles whatever a body may be, and says what is wrong with it. */
export function prepareParsed(bytes: Buffer, context: BodyContext): PackedBody {
  const body = parseJson(bytes);
  const written = new WrittenEvents(context, bytes.length);
  for (const checked of checkBody(body, context)) written.addChecked(checked);
  return written.pack(Array.isArray(body));
}
