import { parseJson } from '@memplane/runtime/json-body';
import { type PrepareContext, type PreparedEvent, prepareEvent } from './prepare.ts';
import { checkBody } from './read-body.ts';

/** What a body becomes before it is appended; nothing of its bytes is kept. */
export interface PreparedBody {
  readonly events: readonly PreparedEvent[];
  /** Whether the events came in an array: problems name their index then. */
  readonly isBatch: boolean;
  /** The stamps that came with events, which the clock must take in. */
  readonly carried: readonly CarriedHlc[];
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

/**
 * From the bytes of a request to events that only lack their stamp. Pure but for `newId`.
 * @throws MemplaneError that names the first wrong field
 */
export function prepareBody(bytes: Buffer, order: BodyOrder, newId: () => string): PreparedBody {
  const body = parseJson(bytes);
  const checked = checkBody(body, order);
  const context: PrepareContext = { ...order, newId };
  const events = new Array<PreparedEvent>(checked.length);
  const carried: CarriedHlc[] = [];
  for (const [i, { sent, carried: stamps, field }] of checked.entries()) {
    events[i] = prepareEvent(sent, context, field, stamps.traceparent);
    if (stamps.hlc !== undefined) carried.push({ hlc: stamps.hlc, field });
  }
  return { events, isBatch: Array.isArray(body), carried };
}
