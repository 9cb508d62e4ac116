import type { AlertStore } from './alerts.ts';
import type { Executor, ReplicatedExecutor } from './executor.ts';
import type { MembershipStore } from './membership-store.ts';
import type { CrdtStore } from './port.ts';

/** Where a service keeps its CRDTs, and how commands get there: what the composition root picks. */
export interface CrdtStorage {
  readonly store: CrdtStore;
  readonly alerts: AlertStore;
  readonly membership: MembershipStore;
  readonly executor: Executor & ReplicatedExecutor;
  /** How soon what is acknowledged is on disk, in Redis's words. */
  readonly appendfsync: string;
  /** What `/readyz` says of it. */
  describe(): Readonly<Record<string, unknown>>;
}
