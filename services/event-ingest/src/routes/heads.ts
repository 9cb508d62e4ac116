import { finishHead, type HeadAnswer } from '@memplane/contracts';
import { ok, type Route, route } from '@memplane/runtime';
import type { StrongEntities } from '../strong/strong-entities.ts';
import { notStrong, type ZoneGate } from '../strong/zone-gate.ts';

/** `POST /v1/heads/{kind}/{id}` */
export function finishHeadRoute(entities: StrongEntities, gate: ZoneGate | undefined): Route {
  return route(finishHead, async ({ params, tenant }) => {
    const entity = `${params.kind}/${params.id}`;
    if (gate === undefined) throw notStrong(entity, 'path');
    const passage = gate.begin();
    try {
      gate.requireStrong(entity, 'path');
      const { sequence, token } = await entities.read({ tenant, entity }, gate.version);
      const answer: HeadAnswer = { entity, token, ...(sequence === undefined ? {} : { sequence }) };
      return ok(answer);
    } finally {
      passage.end();
    }
  });
}
