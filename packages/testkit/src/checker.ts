import { type Accepted, type EntityView, sameJson } from './as-views.ts';
import type { FeedRecord } from './feed.ts';
import { eventKey, type Fold, type FoldedEntity } from './fold.ts';

/** An event as a test sent it. */
export interface SentEvent {
  readonly id: string;
  readonly type: string;
  readonly entity: string;
  readonly data?: unknown;
  readonly attributes?: Readonly<Record<string, unknown>>;
  readonly memory?: { readonly id: string; readonly [field: string]: unknown };
  readonly expectedSequence?: number;
}

/** Everything a test has sent, and what was acknowledged of it. */
export class Ledger {
  readonly sent = new Map<string, SentEvent>();
  readonly acknowledged = new Map<string, Accepted[]>();

  send(events: readonly SentEvent[]): void {
    for (const event of events) this.sent.set(eventKey(event.entity, event.id), event);
  }

  acknowledge(accepted: readonly Accepted[]): void {
    for (const one of accepted) {
      const key = eventKey(one.entity, one.id);
      const list = this.acknowledged.get(key);
      if (list === undefined) this.acknowledged.set(key, [one]);
      else list.push(one);
    }
  }
}

/**
 * Every way in which a log fails its promises to a ledger: an acknowledged event that is not there,
 * or elsewhere, or other; an event nobody sent; a gap; a stamp at or below `hlcFloor`.
 */
export function checkLog(
  ledger: Ledger,
  fold: Fold,
  added: readonly FeedRecord[],
  hlcFloor: string,
): string[] {
  const wrong: string[] = [];
  for (const record of added) {
    const { event, partition, offset } = record;
    const place = `${partition}/${offset} (${event.subject} ${event.id})`;
    if (event.hlc <= hlcFloor)
      wrong.push(`stamp went back at ${place}: ${event.hlc} ≤ ${hlcFloor}`);
    const sent = ledger.sent.get(eventKey(event.subject, event.id));
    if (sent === undefined) wrong.push(`nobody sent ${place}`);
    else if (!sameContent(sent, record)) wrong.push(`other content than was sent at ${place}`);
  }
  for (const [key, acks] of ledger.acknowledged) {
    const first = fold.first.get(key);
    if (first === undefined) {
      wrong.push(`acknowledged but lost: ${key}`);
      continue;
    }
    for (const ack of acks) {
      if (ack.partition !== first.partition || ack.offset !== first.offset) {
        wrong.push(
          `acknowledged at ${ack.partition}/${ack.offset} (duplicate: ${ack.duplicate}), ` +
            `first at ${first.partition}/${first.offset}: ${key}`,
        );
      } else if (ack.hlc !== first.event.hlc) {
        wrong.push(`acknowledged with stamp ${ack.hlc}, logged with ${first.event.hlc}: ${key}`);
      }
    }
  }
  return wrong;
}

/** Offsets of a partition count up without a gap. */
export function checkOffsets(records: readonly FeedRecord[]): string[] {
  const next = new Map<number, number>();
  const wrong: string[] = [];
  for (const { partition, offset } of records) {
    const expected = next.get(partition);
    if (expected !== undefined && offset !== expected) {
      wrong.push(`partition ${partition}: ${offset} where ${expected} is next`);
    }
    next.set(partition, offset + 1);
  }
  return wrong;
}

/** Every way in which a view differs from the fold of the log. */
export function checkView(view: EntityView | undefined, folded: FoldedEntity): string[] {
  const wrong: string[] = [];
  const { entity } = folded;
  if (view === undefined) return [`no view of ${entity}`];
  const differs = (what: string, found: unknown, expected: unknown) => {
    if (!sameJson(found ?? null, expected ?? null)) {
      wrong.push(
        `${entity}: ${what} is ${JSON.stringify(found)?.slice(0, 300)}, ` +
          `the log says ${JSON.stringify(expected)?.slice(0, 300)}`,
      );
    }
  };
  differs('entity', view.entity, entity);
  differs('attributes', view.attributes, folded.attributes);
  differs('sequence', view.sequence, folded.sequence);
  differs('partition', view.asOf.partition, folded.partition);
  if (view.asOf.offset < folded.lastOffset) differs('offset', view.asOf.offset, folded.lastOffset);
  const found = new Map(view.memories.map((memory) => [memory.id, memory]));
  if (found.size !== view.memories.length) wrong.push(`${entity}: a memory is there twice`);
  differs('memory ids', [...found.keys()].sort(), [...folded.memories.keys()].sort());
  for (const [id, memory] of folded.memories) {
    differs(`text of ${id}`, found.get(id)?.text, memory.text);
    differs(`metadata of ${id}`, found.get(id)?.metadata ?? {}, memory.metadata ?? {});
  }
  return wrong;
}

function sameContent(sent: SentEvent, record: FeedRecord): boolean {
  const { data } = record.event;
  return (
    record.event.type === sent.type &&
    sameJson(data.data ?? null, sent.data ?? null) &&
    sameJson(data.attributes ?? null, sent.attributes ?? null) &&
    sameJson(data.memory ?? null, sent.memory ?? null)
  );
}
