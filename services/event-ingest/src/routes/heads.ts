import { finishHead, type HeadAnswer } from '@memplane/contracts';
import { ok, type Route, route } from '@memplane/runtime';
import type { ErasureGate } from '../erasures/erasure-gate.ts';
import type { StrongEntities } from '../strong/strong-entities.ts';
import { notStrong, type Passage, type ZoneGate } from '../strong/zone-gate.ts';

/** `POST /v1/heads/{kind}/{id}` */
export function finishHeadRoute(
  entities: StrongEntities,
  gate: ZoneGate | undefined,
  erasures: ErasureGate,
): Route {
  return route(finishHead, async ({ params, tenant }) => {
    const entity = `${params.kind}/${params.id}`;
    if (gate === undefined) throw notStrong(entity, 'path');
    // What it finishes is not to come behind an erasure.
    const begun = erasures.begin(tenant, [{ entity }]);
    let passage: Passage | undefined;
    try {
      passage = gate.begin();
      gate.requireStrong(entity, 'path');
      const { check } = passage;
      const { sequence, token } = await entities.read({ tenant, entity }, gate.version, check);
      const answer: HeadAnswer = { entity, token, ...(sequence === undefined ? {} : { sequence }) };
      return ok(answer);
    } finally {
      passage?.end();
      begun.end();
    }
  });
}
