import type { EntityView, SearchHit } from './as-views.ts';
import type { LoggedMemory } from './feed.ts';
import type { FoldedEntity } from './fold.ts';

/** As an event carries it. */
export type Vector = NonNullable<LoggedMemory['embedding']>['values'];

const SCORE_TOLERANCE = 1e-3;

/** Every way in which what a search within an entity found differs from its view. */
export function checkHits(view: EntityView, hits: readonly SearchHit[]): string[] {
  const { entity, memories } = view;
  const texts = new Map(hits.map((hit) => [hit.memoryId, hit.memory['text']]));
  const wrong = memories.flatMap(({ id, text }) =>
    texts.get(id) === text ? [] : [`${entity}#${id}: index has ${texts.get(id)}, view ${text}`],
  );
  if (texts.size !== memories.length) wrong.push(`${entity}: ${texts.size} hits`);
  for (const hit of hits) {
    if (hit.entity !== entity) wrong.push(`${entity}: found ${hit.memoryId} of ${hit.entity}`);
  }
  return wrong;
}

/** The newest vector of a memory is met exactly: a search by it finds that memory, at no distance. */
function checkVectorHit(entity: string, memoryId: string, hit: SearchHit | undefined): string[] {
  const isMet =
    hit?.entity === entity &&
    hit.memoryId === memoryId &&
    Math.abs(hit.score - 1) < SCORE_TOLERANCE;
  return isMet ? [] : [`${entity}#${memoryId}: by its vector found ${hit?.memoryId} ${hit?.score}`];
}

/**
 * Every memory's newest vector, and no older one, is what is met exactly.
 * @param nearest the best hit within the entity, by a vector
 */
export async function checkVectors(
  { entity, memories }: FoldedEntity,
  nearest: (vector: Vector) => Promise<SearchHit | undefined>,
): Promise<{ readonly wrong: string[]; readonly compared: number }> {
  const wrong: string[] = [];
  let compared = 0;
  for (const { id, embedding } of memories.values()) {
    if (embedding === undefined) continue;
    wrong.push(...checkVectorHit(entity, id, await nearest(embedding.values)));
    compared++;
  }
  return { wrong, compared };
}
