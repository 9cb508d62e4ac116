import {
  call,
  checkHits,
  checkLog,
  checkOffsets,
  checkVectors,
  checkView,
  type EntityView,
  entityPath,
  eventKey,
  eventually,
  type FeedRecord,
  Fold,
  forEachAtMost,
  Ledger,
  type SearchAnswer,
  type SearchHit,
  type Vector,
} from '@memplane/testkit';
import { COUNTER, type FaultLoad } from './fault-load.ts';
import { persist } from './persist.ts';
import type { StackPlane } from './stack-plane.ts';

export const READERS = 8;
/** What the entities of the load begin with. */
export const OURS = 'crash/';

/** What the log held after the round before: the highest stamp, and the last offsets. */
export interface Seen {
  hlc: string;
  readonly ends: Map<number, number>;
}

/** Where the plane that is judged answers. */
export type JudgedPlane = Pick<StackPlane, 'materializer' | 'crdt' | 'vectors'>;
/** What was done to it. */
export type JudgedLoad = Pick<FaultLoad, 'appends' | 'increments'>;

/** What has to be true of a plane after each round, by an independent fold of its log. */
export class FaultChecks {
  readonly #plane: JudgedPlane;
  readonly #load: JudgedLoad;
  /** In all rounds. */
  vectorsCompared = 0;
  /** In the last round: acknowledgements that name a second copy. */
  copiesAcknowledged = 0;

  constructor(plane: JudgedPlane, load: JudgedLoad) {
    this.#plane = plane;
    this.#load = load;
  }

  async check(records: readonly FeedRecord[], seen: Seen): Promise<string[]> {
    const fold = new Fold();
    for (const record of records) fold.apply(record);
    const ours = records.filter(({ event }) => event.subject.startsWith(OURS));
    const added = ours.filter(({ partition, offset }) => offset > (seen.ends.get(partition) ?? -1));
    const ledger = this.#judgedByFirstCopies(ours, fold);
    const wrong = [...checkOffsets(records), ...checkLog(ledger, fold, added, seen.hlc)];
    const entities = [...fold.entities.values()].filter(({ entity }) => entity.startsWith(OURS));
    await forEachAtMost(READERS, entities, async (folded) => {
      const after = `${this.#plane.materializer}${entityPath(folded.entity)}`;
      const view = await eventually(`the view of ${folded.entity}`, 60_000, async () => {
        const found = await persist<EntityView>(200, 'GET', after);
        return found.asOf.offset >= folded.lastOffset ? found : undefined;
      });
      wrong.push(...checkView(view, folded), ...(await this.#checkIndex(view)));
      const vectors = await checkVectors(folded, (vector) => this.#nearest(folded.entity, vector));
      wrong.push(...vectors.wrong);
      this.vectorsCompared += vectors.compared;
    });
    wrong.push(...(await this.#checkCounters(fold)));
    return wrong;
  }

  /**
   * An append whose answer was lost may be in the log; repeated, it is there twice, and the second
   * copy is what was acknowledged. The views apply the first. Such acknowledgements are taken for ones
   * of the first, where the place that was named really holds a copy; all others stay as they are.
   */
  #judgedByFirstCopies(records: readonly FeedRecord[], fold: Fold): Ledger {
    const byPlace = new Map(records.map((one) => [`${one.partition}/${one.offset}`, one]));
    const ledger = new Ledger();
    for (const [key, event] of this.#load.appends.ledger.sent) ledger.sent.set(key, event);
    this.copiesAcknowledged = 0;
    for (const [key, acks] of this.#load.appends.ledger.acknowledged) {
      const first = fold.first.get(key);
      const judged = acks.map((ack) => {
        const copy = byPlace.get(`${ack.partition}/${ack.offset}`);
        const isCopy =
          first !== undefined &&
          first !== copy &&
          copy?.event.digest === first.event.digest &&
          eventKey(copy.event.subject, copy.event.id) === key &&
          copy.event.hlc === ack.hlc;
        if (!isCopy) return ack;
        this.copiesAcknowledged++;
        return { ...ack, offset: first.offset, hlc: first.event.hlc };
      });
      ledger.acknowledged.set(key, judged);
    }
    return ledger;
  }

  /** What a search within the entity finds is what the view has. */
  async #checkIndex(view: EntityView): Promise<string[]> {
    const { entity } = view;
    const body = { text: 'number', entity, topK: 20, waitMs: 2_000 };
    let wrong: string[] = [];
    await eventually(`the index has ${entity}`, 60_000, async () => {
      wrong = checkHits(view, (await this.#search(body)).results);
      return wrong.length === 0 ? true : undefined;
    }).catch((error: unknown) => {
      // Whatever failed to be asked was not seen to be right.
      if (wrong.length === 0) wrong.push(`${entity}: ${error}`);
    });
    return wrong;
  }

  async #nearest(entity: string, vector: Vector): Promise<SearchHit | undefined> {
    return (await this.#search({ vector, entity, topK: 1 })).results[0];
  }

  #search(body: Readonly<Record<string, unknown>>): Promise<SearchAnswer> {
    return persist<SearchAnswer>(200, 'POST', `${this.#plane.vectors}/v1/search`, { body });
  }

  /** Counters that follow from the log equal its fold; the others, what was answered. */
  async #checkCounters(fold: Fold): Promise<string[]> {
    const expected = new Map([
      ['events_total', fold.first.size],
      ['active_sessions', activeSessions(fold)],
      [COUNTER, this.#load.increments.acknowledged],
    ]);
    const wrong: string[] = [];
    for (const [name, value] of expected) {
      let found: unknown;
      await eventually(`${name} is ${value}`, 30_000, async () => {
        const answer = await call<{ value: number }>(
          'GET',
          `${this.#plane.crdt}/v1/counters/${name}`,
        );
        found = answer.status === 200 ? answer.body.value : answer.status;
        return found === value ? true : undefined;
      }).catch(() => wrong.push(`${name} is ${found}, must be ${value}`));
    }
    return wrong;
  }
}

/** By the log alone: a session is active from a start to the next end. */
function activeSessions(fold: Fold): number {
  const active = new Set<string>();
  for (const { event } of fold.first.values()) {
    if (!event.subject.startsWith('session/')) continue;
    if (event.type === 'SessionStarted') active.add(event.subject);
    if (event.type === 'SessionEnded') active.delete(event.subject);
  }
  return active.size;
}
