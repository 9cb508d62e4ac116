import type { Route } from '@memplane/runtime';
import type { Alerts } from '../domain/alerts.ts';
import type { Members } from '../domain/cluster/members.ts';
import type { Engine } from '../domain/engine.ts';
import type { CrdtStore } from '../domain/port.ts';
import { addToSetRoute } from './add-to-set.ts';
import { forgetMemberRoute } from './forget-member.ts';
import { getAlertsRoute } from './get-alerts.ts';
import { getCounterRoute } from './get-counter.ts';
import { getMembersRoute } from './get-members.ts';
import { getRegisterRoute } from './get-register.ts';
import { getSetRoute } from './get-set.ts';
import { incrementCounterRoute } from './increment-counter.ts';
import { listCountersRoute } from './list-counters.ts';
import { OperatorCheck } from './operator-check.ts';
import { putCounterPartRoute } from './put-counter-part.ts';
import { putRegisterRoute } from './put-register.ts';
import { reconcileRoute, reconcileTimerRoute } from './reconcile.ts';
import { removeFromSetRoute } from './remove-from-set.ts';
import { resetCounterRoute } from './reset-counter.ts';
import { resetRegisterRoute } from './reset-register.ts';
import { resetSetRoute } from './reset-set.ts';

export interface RouteParts {
  readonly engine: Engine;
  readonly store: CrdtStore;
  readonly alerts: Alerts;
  readonly replicaId: string;
  readonly replicaSet: readonly string[];
  /** Undefined where this replica is alone. */
  readonly members: Members | undefined;
  readonly operatorToken: string | undefined;
  /** Whether a sidecar calls, and proves itself. */
  readonly hasSidecar: boolean;
}

export function crdtSyncRoutes(parts: RouteParts): Route[] {
  const { engine, store, alerts, members, replicaId } = parts;
  const operator = new OperatorCheck(parts.operatorToken);
  return [
    incrementCounterRoute(engine),
    getCounterRoute(engine),
    listCountersRoute(engine, store),
    resetCounterRoute(engine),
    putCounterPartRoute(engine, operator),
    addToSetRoute(engine),
    removeFromSetRoute(engine),
    getSetRoute(engine, store),
    resetSetRoute(engine),
    putRegisterRoute(engine),
    getRegisterRoute(engine),
    resetRegisterRoute(engine),
    getMembersRoute(parts),
    forgetMemberRoute(members, replicaId, operator),
    getAlertsRoute(alerts),
    reconcileRoute(engine, store, alerts),
    ...(parts.hasSidecar ? [reconcileTimerRoute(engine, store, alerts)] : []),
  ];
}
