import { getZone, type ZoneAnswer } from '@memplane/contracts';
import { ok, type Route, route } from '@memplane/runtime';
import type { ZoneGate } from '../strong/zone-gate.ts';
import type { ZoneKeeper } from '../strong/zone-keeper.ts';

/** `GET /v1/zones` */
export function getZoneRoute(
  gate: ZoneGate | undefined,
  keeper: ZoneKeeper | undefined,
  path: string | undefined,
): Route {
  return route(getZone, ({ query: { entity } }) => {
    if (gate === undefined || keeper === undefined) {
      return ok({ entity, zone: 'eventual', version: 0 } satisfies ZoneAnswer);
    }
    const { table, next, version } = gate;
    const zone = table.zoneOf(entity);
    const rule = table.ruleOf(entity);
    const changesTo = next?.zoneOf(entity);
    const { problem, waitsFor } = keeper;
    const answer: ZoneAnswer = {
      entity,
      zone,
      version,
      ...(rule === undefined ? {} : { rule: rule.match }),
      ...(changesTo === undefined || changesTo === zone ? {} : { changesTo }),
      ...(next === undefined ? {} : { waitsFor: [...waitsFor] }),
      ...(path === undefined ? {} : { file: { path, ...(problem ? { problem } : {}) } }),
    };
    return ok(answer);
  });
}
