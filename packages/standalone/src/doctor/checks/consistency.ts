import type { EntityView } from '@memplane/client';
import type { SearchResponse } from '@memplane/contracts';
import { type Check, type Finding, NotHere } from '../check.ts';
import { differencesOf } from '../entity-check.ts';
import type { PlaneState } from '../plane-state.ts';

/** Of how many entities the sample is drawn. */
const DRAWN_FROM_MAX = 200;
/** Memories of one entity that the index is asked for. */
const MEMORIES_MAX = 3;

interface QueryAnswer {
  readonly entities: readonly { readonly entity: string }[];
}

/** Some views are what their histories say, and the index finds their memories. */
export const consistencyCheck: Check = {
  name: 'consistency',
  async run(plane) {
    const { sample_entities } = plane.settings;
    const body = { filter: {}, limit: DRAWN_FROM_MAX };
    const { entities } = await plane.http.json<QueryAnswer>('materializer', '/v1/query', {
      method: 'POST',
      body,
    });
    if (entities.length === 0) throw new NotHere('there are no entities yet');
    const sample = drawn(entities, sample_entities);
    const found: Finding[] = [];
    for (const { entity } of sample) {
      for (const detail of (await differencesOf(plane.http, entity)) ?? []) {
        found.push({
          code: 'view_differs',
          severity: 'error',
          about: entity,
          detail,
          advice:
            '`memplane verify` compares all. Views are derived: delete the folder of the views ' +
            '(never that of the log) while the plane is down, and they are built anew.',
        });
      }
      found.push(...(await missedMemories(plane, entity)));
    }
    return found;
  },
};

/** Each of them as likely (Fisher-Yates). */
function drawn<T>(items: readonly T[], count: number): T[] {
  const pool = [...items];
  for (let i = 0; i < Math.min(count, pool.length); i++) {
    const j = i + Math.floor(Math.random() * (pool.length - i));
    [pool[i], pool[j]] = [pool[j] as T, pool[i] as T];
  }
  return pool.slice(0, count);
}

/** A search within the entity, at the view's own cut, finds each memory by its own text. */
async function missedMemories(plane: PlaneState, entity: string): Promise<Finding[]> {
  const view = await plane.http.json<EntityView & { token: string }>(
    'materializer',
    `/v1/entities/${entity}`,
  );
  const found: Finding[] = [];
  for (const { id, text } of view.memories.filter((memory) => memory.text).slice(0, MEMORIES_MAX)) {
    const body = { text: text?.slice(0, 1_000), entity, topK: 50, asOf: `token:${view.token}` };
    const answer = await plane.http.json<SearchResponse>('vector-index', '/v1/search', {
      method: 'POST',
      body,
    });
    const isFull = answer.results.length >= body.topK;
    // A text without a word that the index keeps is found by nobody.
    if (answer.results.length === 0 && !/[\p{L}\p{N}]{3}/u.test(text ?? '')) continue;
    if (isFull || answer.results.some(({ memoryId }) => memoryId === id)) continue;
    found.push({
      code: 'index_differs',
      severity: 'error',
      about: `${entity}#${id}`,
      detail: 'the view shows it, and a search by its own text does not find it',
      advice:
        '`memplane verify` compares all. The index is derived: delete its folder (vectors, never ' +
        'vectors-computed) while the plane is down, and it is built anew.',
    });
  }
  return found;
}
