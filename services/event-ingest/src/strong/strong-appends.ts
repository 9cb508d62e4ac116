import { LIMITS, MemplaneError } from '@memplane/contracts';
import type { Appended } from '../appender.ts';
import type { PreparedEvent } from '../domain/prepare.ts';
import type { CarriedConditions, PreparedBody } from '../domain/prepare-body.ts';
import { strongMember } from '../domain/sent-event.ts';
import type { OrderedEvent } from '../domain/strong/append-program.ts';
import type { Conditions } from '../domain/strong/head.ts';
import { strongText } from '../domain/strong/stamp-strong.ts';
import { renamed } from './renamed.ts';
import type { StrongEntities } from './strong-entities.ts';
import { notStrong, type Passage, type ZoneGate } from './zone-gate.ts';

export interface StrongAppendsOptions {
  readonly gate: ZoneGate;
  readonly entities: StrongEntities;
  readonly newNonce: () => string;
}

/** How the events of a body are appended. */
export interface Split {
  /** Indexes of the events of eventual entities. */
  readonly eventual: readonly number[];
  /** Of each strong entity. */
  readonly strong: ReadonlyMap<string, readonly number[]>;
}

/** Appends to strong entities: each entity's events all or none, and in order. */
export class StrongAppends {
  readonly #options: StrongAppendsOptions;

  constructor(options: StrongAppendsOptions) {
    this.#options = options;
  }

  /** See {@link ZoneGate.begin}. */
  begin(): Passage {
    return this.#options.gate.begin();
  }

  /**
   * @returns undefined when all events are of eventual entities, as nearly always
   * @throws MemplaneError `zone_not_strong`, `zone_changing`, `strong_batch_too_large`,
   * `invalid_event`
   */
  split({ events, conditions, isBatch }: PreparedBody): Split | undefined {
    const { gate } = this.#options;
    if (!gate.table.hasStrong && gate.next === undefined) {
      refuseConditions({ events, conditions });
      return undefined;
    }
    const eventual: number[] = [];
    const strong = new Map<string, number[]>();
    for (const [i, { entity }] of events.entries()) {
      if (gate.zoneOf(entity) === 'eventual') eventual.push(i);
      else {
        const indexes = strong.get(entity);
        if (indexes === undefined) strong.set(entity, [i]);
        else indexes.push(i);
      }
    }
    checkConditions(events, conditions, strong);
    for (const indexes of strong.values()) checkSize(events, indexes, isBatch);
    return strong.size === 0 ? undefined : { eventual, strong };
  }

  /**
   * Appends the events of one strong entity.
   * @param check throws where nothing may be decided any more that began before
   * @throws MemplaneError see `appendProgram`; it names the event
   */
  async append(
    body: PreparedBody,
    tenant: string,
    entity: string,
    indexes: readonly number[],
    fieldOf: (index: number) => string,
    check?: () => void,
  ): Promise<Appended[]> {
    const { entities, gate, newNonce } = this.#options;
    const firsts = firstsOf(body.events, indexes, fieldOf);
    const made = new Set(body.madeIds);
    const ordered = [...firsts.values()].map((i) => orderedEvent(body.events[i], made.has(i)));
    try {
      const places = await entities.append({
        tenant,
        entity,
        nonce: newNonce(),
        zones: gate.version,
        events: ordered,
        bytes: bytesOf(body.events, indexes),
        check,
        ...conditionsOf(body.conditions, indexes),
      });
      const byId = new Map(ordered.map(({ id }, n) => [id, places[n]] as const));
      return indexes.map((i) => {
        const id = body.events[i]?.id ?? '';
        const place = byId.get(id);
        if (place === undefined) throw new Error('a repetition without its first');
        return firsts.get(id) === i ? place : { ...place, duplicate: true };
      });
    } catch (error) {
      throw renamed(error, ({ extra }) => {
        const index = indexes.find((i) => body.events[i]?.id === extra['id']);
        return fieldOf(index ?? indexes[0] ?? 0);
      });
    }
  }
}

/** @throws MemplaneError `zone_not_strong` */
export function refuseConditions({
  events,
  conditions,
}: Pick<PreparedBody, 'events' | 'conditions'>): void {
  const [first] = conditions;
  if (first === undefined) return;
  throw notStrong(events[first.index]?.entity ?? '', `${first.field}.${strongMember(first)}`);
}

/** Conditions are about one entity, and stand in the first event of an array. */
function checkConditions(
  events: readonly PreparedEvent[],
  conditions: readonly CarriedConditions[],
  strong: ReadonlyMap<string, readonly number[]>,
): void {
  for (const one of conditions) {
    const field = `${one.field}.${strongMember(one)}`;
    const entity = events[one.index]?.entity ?? '';
    const indexes = strong.get(entity);
    if (indexes === undefined) throw notStrong(entity, field);
    if (indexes.length !== events.length) {
      throw wrong(field, 'only in an array whose events are all of one entity');
    }
    if (one.index > 0) throw wrong(field, 'stands in the first event, for all of the array');
    // A token says nothing without its lease, nor a lease without its token.
    if (one.lease === undefined && one.fencingToken !== undefined) {
      throw wrong(`${one.field}.lease`, 'must name the lease of the fencingToken');
    }
    if (one.lease !== undefined && one.fencingToken === undefined) {
      throw wrong(`${one.field}.fencingToken`, 'must be there where there is a lease');
    }
  }
}

function conditionsOf(
  conditions: readonly CarriedConditions[],
  [first]: readonly number[],
): Conditions {
  const { expectedSequence, lease, fencingToken } =
    conditions.find(({ index }) => index === first) ?? {};
  return { expectedSequence, lease, fencingToken };
}

function bytesOf(events: readonly PreparedEvent[], indexes: readonly number[]): number {
  return indexes.reduce((sum, i) => sum + (events[i]?.value.length ?? 0), 0);
}

function checkSize(
  events: readonly PreparedEvent[],
  indexes: readonly number[],
  isBatch: boolean,
): void {
  const bytes = bytesOf(events, indexes);
  const { strong_batch_events_max, strong_batch_bytes_max } = LIMITS;
  if (indexes.length <= strong_batch_events_max && bytes <= strong_batch_bytes_max) return;
  throw new MemplaneError(
    'strong_batch_too_large',
    `A strong entity takes ${strong_batch_events_max} events and ${strong_batch_bytes_max} bytes ` +
      `at once; these are ${indexes.length} events and ${bytes} bytes.`,
    {
      field: isBatch ? `body[${indexes[0]}]` : 'body',
      extra: { strong_batch_events_max, strong_batch_bytes_max },
    },
  );
}

/** By id, the first index that has it. @throws MemplaneError `id_reused` */
function firstsOf(
  events: readonly PreparedEvent[],
  indexes: readonly number[],
  fieldOf: (index: number) => string,
): Map<string, number> {
  const firsts = new Map<string, number>();
  for (const i of indexes) {
    const { id = '', contentKey, entity } = events[i] ?? {};
    const first = firsts.get(id);
    if (first === undefined) firsts.set(id, i);
    else if (events[first]?.contentKey !== contentKey) {
      const what = `${fieldOf(i)}: the id ${JSON.stringify(id)} was used for other content.`;
      throw new MemplaneError('id_reused', what, {
        field: `${fieldOf(i)}.id`,
        extra: { id, entity },
      });
    }
  }
  return firsts;
}

function orderedEvent(event: PreparedEvent | undefined, isFresh: boolean): OrderedEvent {
  if (event === undefined) throw new Error('an event that is not there');
  const text = event.value.toString();
  return {
    id: event.id,
    digest: event.digest,
    isFresh,
    textAt: (sequence, last) => strongText(text, sequence, last),
  };
}

function wrong(field: string, why: string): MemplaneError {
  return new MemplaneError('invalid_event', `${field}: ${why}.`, { field });
}
