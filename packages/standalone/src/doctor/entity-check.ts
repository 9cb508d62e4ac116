import { isDeepStrictEqual } from 'node:util';
import type { EntityView } from '@memplane/client';
import type { PlaneHttp } from '../operate/plane-http.ts';
import { emptyFold, foldEvent, type HistoryEvent, type OwnFold } from './own-fold.ts';

/** Entities with a longer history are not looked at: reading it all would be a load of its own. */
export const HISTORY_EVENTS_MAX = 5_000;
const PAGE_EVENTS = 500;

interface HistoryPage {
  readonly events: readonly HistoryEvent[];
  readonly next?: number;
}

/**
 * Every way in which the view of an entity differs from an own fold of its history, up to where the
 * view goes; undefined where the history is too long, or does not go back to the beginning.
 */
export async function differencesOf(
  plane: PlaneHttp,
  entity: string,
): Promise<readonly string[] | undefined> {
  const view = await plane.json<EntityView>('materializer', `/v1/entities/${entity}`);
  if (view.sequence > HISTORY_EVENTS_MAX) return undefined;
  const fold = emptyFold();
  let from: number | undefined;
  do {
    const query = `?limit=${PAGE_EVENTS}${from === undefined ? '' : `&from=${from}`}`;
    const path = `/v1/entities/${entity}/history${query}`;
    const page: HistoryPage = await plane.json('materializer', path);
    for (const event of page.events) {
      if (from === undefined && fold.sequence === 0 && sequenceOf(event) > 1) return undefined;
      if (event.offset <= view.asOf.offset) foldEvent(fold, event);
    }
    from = page.next;
  } while (from !== undefined && from <= view.asOf.offset);
  return compare(view, fold);
}

function sequenceOf(event: HistoryEvent): number {
  return (event as { sequence?: number }).sequence ?? 1;
}

function compare(view: EntityView, fold: OwnFold): string[] {
  const wrong: string[] = [];
  if (view.sequence !== fold.sequence) {
    wrong.push(`its sequence is ${view.sequence}, its history has ${fold.sequence} events`);
  }
  if (!isDeepStrictEqual(view.attributes, fold.attributes)) {
    const shown = JSON.stringify(view.attributes).slice(0, 200);
    const folded = JSON.stringify(fold.attributes).slice(0, 200);
    wrong.push(`its attributes are ${shown}, its history says ${folded}`);
  }
  const texts = new Map(view.memories.map(({ id, text }) => [id, text ?? undefined]));
  for (const [id, text] of fold.memories) {
    if (texts.has(id) ? texts.get(id) !== text : !fold.mayExpire.has(id)) {
      wrong.push(
        `its memory ${id} is ${JSON.stringify(texts.get(id))}, not ${JSON.stringify(text)}`,
      );
    }
  }
  for (const id of texts.keys()) {
    if (!fold.memories.has(id)) wrong.push(`its memory ${id} is not in its history`);
  }
  return wrong;
}
