import type { Route } from '@memplane/runtime';
import type { Alerts } from '../domain/alerts.ts';
import type { Members } from '../domain/cluster/members.ts';
import type { Engine } from '../domain/engine.ts';
import type { CrdtStore } from '../domain/port.ts';
import type { Reconciling } from '../domain/reconciling.ts';
import type { ReplicaSets } from '../domain/replica-set/replica-sets.ts';
import type { Quorum } from '../domain/replication/quorum.ts';
import type { QuorumWrites } from '../domain/replication/quorum-writes.ts';
import { addToSetRoute } from './add-to-set.ts';
import { Consistency } from './consistency.ts';
import { exportCrdtsRoute } from './export-crdts.ts';
import { flagRoutes } from './flags.ts';
import { forgetMemberRoute } from './forget-member.ts';
import { getAlertsRoute } from './get-alerts.ts';
import { getCounterRoute } from './get-counter.ts';
import { getMembersRoute } from './get-members.ts';
import { getRegisterRoute } from './get-register.ts';
import { getSetRoute } from './get-set.ts';
import { incrementCounterRoute } from './increment-counter.ts';
import { listCountersRoute } from './list-counters.ts';
import { mapRoutes } from './maps.ts';
import { OperatorCheck } from './operator-check.ts';
import { putCounterPartRoute } from './put-counter-part.ts';
import { putRegisterRoute } from './put-register.ts';
import { reconcileRoute, reconcileTimerRoute } from './reconcile.ts';
import { removeFromSetRoute } from './remove-from-set.ts';
import { replicaSetRoutes } from './replica-set.ts';
import { resetCounterRoute } from './reset-counter.ts';
import { resetRegisterRoute } from './reset-register.ts';
import { resetSetRoute } from './reset-set.ts';

/** What replicas that have the same values do together. */
export interface Replicated {
  readonly quorum: Quorum;
  readonly writes: QuorumWrites;
}

export interface RouteParts {
  readonly engine: Engine;
  readonly store: CrdtStore;
  readonly alerts: Alerts;
  readonly replicaId: string;
  readonly sets: ReplicaSets;
  /** Undefined where this replica is alone. */
  readonly members: Members | undefined;
  readonly replication: Replicated | undefined;
  readonly reconciling: Reconciling;
  /** How long reads wait for what their tokens stand for. */
  readonly wait_ms_max: number;
  readonly operatorToken: string | undefined;
  /** Whether a sidecar calls, and proves itself. */
  readonly hasSidecar: boolean;
}

export function crdtSyncRoutes(parts: RouteParts): Route[] {
  const { engine, store, alerts, members, reconciling, replicaId } = parts;
  const { quorum, writes } = parts.replication ?? {};
  const consistency = new Consistency({ ...parts, quorum, writes });
  const operator = new OperatorCheck(parts.operatorToken);
  return [
    incrementCounterRoute(engine, consistency),
    getCounterRoute(engine, consistency),
    listCountersRoute(engine, store, consistency),
    resetCounterRoute(engine, consistency),
    putCounterPartRoute(engine, operator),
    addToSetRoute(engine, consistency),
    removeFromSetRoute(engine, consistency),
    getSetRoute(engine, store, consistency),
    resetSetRoute(engine, consistency),
    putRegisterRoute(engine, consistency),
    getRegisterRoute(engine, consistency),
    resetRegisterRoute(engine, consistency),
    ...mapRoutes(engine, consistency),
    ...flagRoutes(parts, consistency),
    getMembersRoute(parts),
    forgetMemberRoute(members, replicaId, operator),
    ...replicaSetRoutes(parts.sets, operator),
    getAlertsRoute(alerts),
    reconcileRoute(reconciling),
    exportCrdtsRoute(store),
    ...(parts.hasSidecar ? [reconcileTimerRoute(reconciling)] : []),
  ];
}
