import type { MemplaneError } from '@memplane/contracts';
import type { Alerts } from '../alerts.ts';
import { deltaKeyOf, refOfDeltaKey } from '../delta-key.ts';
import type { Ref, VerifiedValue } from '../port.ts';
import { DIFFERENCES_MAX, type Reconciled } from '../reconcile.ts';
import { type Compared, type Comparing, damagedThere } from './comparing.ts';
import { Divergence, type ObservedDifference, type Why } from './divergence.ts';
import type { LargeCalls } from './large-calls.ts';
import { METHODS } from './methods.ts';
import { type RepairingOptions, repair } from './repairing.ts';
import type { Replicator } from './replicator.ts';

export interface ReconciliationOptions extends RepairingOptions {
  readonly comparing: Comparing;
  readonly replicator: Replicator;
  readonly calls: LargeCalls;
  readonly alerts: Alerts;
  readonly toError: (cause: unknown) => MemplaneError;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

/** A value that was damaged here, and the replicas that it was taken from. */
export interface Repaired extends Ref {
  readonly type: VerifiedValue['type'];
  readonly from: readonly string[];
}

export interface ReportedDifference extends Ref {
  readonly type: string;
  readonly here?: string;
  readonly there?: string;
  /** RFC 3339. */
  readonly since: string;
  readonly why: Why;
}

export interface ReplicaReport {
  readonly replica: string;
  readonly differences: readonly ReportedDifference[];
  /** Beyond those listed. */
  readonly more: number;
  /** What still differed after both have taken over; absent where nothing was to be, or not asked. */
  readonly left?: number;
  /** Why it could not be compared, or not all was taken over. */
  readonly failure?: string;
}

const REMEMBERED_MAX = 10_000;
const DIVERGENCE = 'divergence';

/** Compares this replica with all that live, and brings what differs to both. */
export class Reconciliation {
  readonly #options: ReconciliationOptions;
  readonly #divergence: Divergence;

  constructor(options: ReconciliationOptions) {
    this.#options = options;
    const { calls, now, replicator } = options;
    this.#divergence = new Divergence({ now, differences_max: REMEMBERED_MAX });
    calls.onCall(METHODS.catchUp, async (from) => {
      await replicator.catchUp(from);
      return new Uint8Array();
    });
  }

  /** Repairs what a check of the own values has found, as far as others have it. */
  async repair({ differences }: Reconciled, signal: AbortSignal): Promise<Repaired[]> {
    const repaired: Repaired[] = [];
    for (const values of Map.groupBy(differences, deltaKeyOf).values()) {
      signal.throwIfAborted();
      const [{ tenant, name } = { tenant: '', name: '' }] = values;
      const types = values.map(({ type }) => type);
      const from = await repair({ tenant, name }, types, this.#options);
      if (from.length > 0) repaired.push(...types.map((type) => ({ tenant, type, name, from })));
    }
    return repaired;
  }

  /** @param damaged values here that are not repaired */
  async compareAll(
    options: { readonly dryRun: boolean; readonly damaged: readonly Ref[] },
    signal: AbortSignal,
  ): Promise<ReplicaReport[]> {
    const peers = this.#options.live();
    this.#divergence.keepOnly(peers);
    const damagedHere = new Set(options.damaged.map(deltaKeyOf));
    const reports: ReplicaReport[] = [];
    for (const peer of peers) {
      signal.throwIfAborted();
      try {
        reports.push(await this.#compare(peer, { ...options, damagedHere }, signal));
      } catch (cause) {
        signal.throwIfAborted();
        const { code, message } = this.#options.toError(cause);
        reports.push({ replica: peer, differences: [], more: 0, failure: `${code}: ${message}` });
      }
    }
    return reports;
  }

  async #compare(
    peer: string,
    {
      dryRun,
      damagedHere,
    }: { readonly dryRun: boolean; readonly damagedHere: ReadonlySet<string> },
    signal: AbortSignal,
  ): Promise<ReplicaReport> {
    const { comparing } = this.#options;
    const compared = await comparing.compare(peer, signal);
    const keys = [...new Set(listed(compared).map(({ key }) => key))];
    const there = new Set(await comparing.damagedAt(peer, compared, keys, signal));
    const damaged = { here: damagedHere, there };
    const observed = this.#divergence.observe(peer, compared, damaged);
    const report = reportOf(peer, observed);
    if (dryRun || observed.length === 0) {
      this.#tell(peer, observed);
      return report;
    }
    const failure = await this.#takeOver(peer, compared, signal);
    const after = await comparing.compare(peer, signal);
    const left = this.#divergence.observe(peer, after, damaged);
    this.#tell(peer, left);
    return { ...report, left: left.length, ...(failure === undefined ? {} : { failure }) };
  }

  /** Both ways. @returns what kept some of it from being taken over */
  async #takeOver(
    peer: string,
    compared: Compared,
    signal: AbortSignal,
  ): Promise<string | undefined> {
    const { calls, comparing, replicator, toError } = this.#options;
    const ways = [
      async () => {
        const damaged = await comparing.takeOver(peer, compared, signal);
        if (damaged.length === 0) replicator.tookOver(compared.ranges);
        else throw damagedThere(peer, damaged);
      },
      async () => {
        await calls.call(peer, METHODS.catchUp, new Uint8Array());
      },
    ];
    let failure: string | undefined;
    for (const way of ways) {
      try {
        await way();
      } catch (cause) {
        signal.throwIfAborted();
        const { code, message } = toError(cause);
        failure ??= `${code}: ${message}`;
      }
    }
    return failure;
  }

  /** An alert for each replica whose values differ although no commit explains it. */
  #tell(peer: string, observed: readonly ObservedDifference[]): void {
    const { alerts } = this.#options;
    const lasting = observed.filter(({ persists }) => persists);
    if (lasting.length === 0) {
      if (observed.length === 0) alerts.clear(DIVERGENCE, peer);
      return;
    }
    const names = lasting.slice(0, 5).map(({ type, key }) => `${type} ${key}`);
    alerts.raise(
      DIVERGENCE,
      `${lasting.length} values differ from those of replica ${peer}, though each has all that the ` +
        `other has committed: ${names.join(', ')}${lasting.length > names.length ? ', …' : ''}. ` +
        'They were changed by hand or lost with a tail. A reconciliation without dryRun joins them. ' +
        'What differs after it has one change with two meanings: end the replica that is wrong, ' +
        'remove its folder and start it again, so that it takes all from the others.',
      peer,
    );
  }
}

function listed({ differing }: Compared) {
  return differing.slice(0, DIFFERENCES_MAX);
}

function reportOf(replica: string, observed: readonly ObservedDifference[]): ReplicaReport {
  const differences = observed.slice(0, DIFFERENCES_MAX).map((difference) => {
    const { type, key, here, there, sinceMs, why } = difference;
    return {
      ...refOfDeltaKey(key),
      type,
      ...(here === undefined ? {} : { here }),
      ...(there === undefined ? {} : { there }),
      since: new Date(sinceMs).toISOString(),
      why,
    };
  });
  return { replica, differences, more: observed.length - differences.length };
}
