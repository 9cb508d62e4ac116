import { MemplaneError } from '@memplane/contracts';
import type { Alerts } from './alerts.ts';
import { dispatch } from './dispatch.ts';
import type { Engine } from './engine.ts';
import type { CrdtStore, VerifiedValue } from './port.ts';
import { type Reconciled, reconcile } from './reconcile.ts';
import type { Reconciliation, Repaired, ReplicaReport } from './replication/reconciliation.ts';

export interface ReconcilingParts {
  readonly engine: Engine;
  readonly store: CrdtStore;
  readonly alerts: Alerts;
  /** Undefined where nothing is replicated. */
  readonly others: Reconciliation | undefined;
}

export interface Report extends Reconciled {
  readonly dryRun: boolean;
  readonly replicas: number;
  readonly repaired: readonly Repaired[];
  readonly compared: readonly ReplicaReport[];
}

const DAMAGED = 'storage_damaged';

/** Reconciliations of a replica, one at a time: of its own values, then with the other replicas. */
export class Reconciling {
  readonly #parts: ReconcilingParts;
  #isRunning = false;

  constructor(parts: ReconcilingParts) {
    this.#parts = parts;
  }

  get isRunning(): boolean {
    return this.#isRunning;
  }

  /**
   * @param dryRun by default only where there is nobody to take anything from
   * @throws MemplaneError `overloaded` where one is under way, and what reading and joining throw
   */
  async run(dryRun: boolean | undefined, signal: AbortSignal): Promise<Report> {
    if (this.#isRunning) {
      throw new MemplaneError('overloaded', 'A reconciliation is under way.', {
        retryAfterMs: 1_000,
      });
    }
    this.#isRunning = true;
    try {
      return await this.#run(dryRun ?? this.#parts.others === undefined, signal);
    } finally {
      this.#isRunning = false;
    }
  }

  async #run(dryRun: boolean, signal: AbortSignal): Promise<Report> {
    const { alerts, others } = this.#parts;
    const found = await this.#check(signal);
    this.#raise(found);
    const isRepairing = others !== undefined && !dryRun && found.differences.length > 0;
    const repaired = isRepairing ? await others.repair(found, signal) : [];
    const left = repaired.length > 0 ? await this.#check(signal) : found;
    this.#clear(left);
    const damaged = left.differences;
    const compared = (await others?.compareAll({ dryRun, damaged }, signal)) ?? [];
    await alerts.save();
    const { values, digest } = left;
    const { differences, more } = found;
    const replicas = 1 + compared.filter(({ failure }) => failure === undefined).length;
    return { dryRun, replicas, values, digest, differences, more, repaired, compared };
  }

  async #check(signal: AbortSignal): Promise<Reconciled> {
    const { engine, store } = this.#parts;
    const { outcome } = await dispatch(engine, 'scan', { tenant: '', name: '' }, (command) => {
      command.scan = () => reconcile(store.verify(), signal);
    });
    return outcome.value as Reconciled;
  }

  #raise({ differences }: Reconciled): void {
    for (const value of differences) {
      this.#parts.alerts.raise(DAMAGED, 'A value does not have its digest.', subjectOf(value));
    }
  }

  /** Of values that are well again; where not all that are damaged were listed, nobody knows. */
  #clear({ differences, more }: Reconciled): void {
    const { alerts } = this.#parts;
    if (more > 0) return;
    const damaged = new Set(differences.map(subjectOf));
    for (const { code, subject = '' } of alerts.list()) {
      const isOfValue = code === DAMAGED && subject.includes('/');
      if (isOfValue && !damaged.has(subject)) alerts.clear(code, subject);
    }
  }
}

function subjectOf({ type, name }: VerifiedValue): string {
  return `${type}/${name}`;
}
