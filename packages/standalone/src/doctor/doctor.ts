import type { ServiceName } from '@memplane/contracts';
import { type Check, type Finding, NotHere } from './check.ts';
import { alertsCheck } from './checks/alerts.ts';
import { archiveCheck } from './checks/archive.ts';
import { clocksCheck } from './checks/clocks.ts';
import { consistencyCheck } from './checks/consistency.ts';
import { diskCheck } from './checks/disk.ts';
import { lagCheck } from './checks/lag.ts';
import { membersCheck } from './checks/members.ts';
import { permissionCheck } from './checks/permission.ts';
import { servicesCheck } from './checks/services.ts';
import { storageCheck } from './checks/storage.ts';
import { versionsCheck } from './checks/versions.ts';
import type { PlaneState } from './plane-state.ts';

/** In the order in which they are told; what comes first may explain what comes later. */
export const CHECKS: readonly Check[] = [
  servicesCheck,
  permissionCheck,
  versionsCheck,
  storageCheck,
  lagCheck,
  archiveCheck,
  clocksCheck,
  diskCheck,
  membersCheck,
  alertsCheck,
  consistencyCheck,
];

export type Outcome = 'fine' | 'findings' | 'not checked' | 'not here';

export interface CheckResult {
  readonly check: string;
  readonly outcome: Outcome;
  readonly findings: readonly Finding[];
  /** Why it was not checked, or is not here. */
  readonly reason?: string;
}

export interface Diagnosis {
  readonly url: string;
  readonly time: string;
  readonly exitCode: number;
  readonly checks: readonly CheckResult[];
}

/** What scripts go by; beside those of all commands. */
export const DOCTOR_EXIT = { fine: 0, findings: 1, unchecked: 2 } as const;

/** Runs all checks, one after the other; none keeps another from being run. */
export async function diagnose(
  plane: PlaneState,
  checks: readonly Check[] = CHECKS,
): Promise<Diagnosis> {
  const results: CheckResult[] = [];
  for (const check of checks) results.push(await resultOf(check, plane));
  return {
    url: plane.http.urlOf('event-ingest' satisfies ServiceName),
    time: new Date(plane.now()).toISOString(),
    exitCode: exitCodeOf(results),
    checks: results,
  };
}

async function resultOf(check: Check, plane: PlaneState): Promise<CheckResult> {
  try {
    const findings = await check.run(plane);
    const outcome = findings.length === 0 ? 'fine' : 'findings';
    return { check: check.name, outcome, findings };
  } catch (error) {
    const outcome = error instanceof NotHere ? 'not here' : 'not checked';
    return { check: check.name, outcome, findings: [], reason: (error as Error).message };
  }
}

/** A plane of which no service answers was not checked; else what was found comes first. */
function exitCodeOf(results: readonly CheckResult[]): number {
  const found = results.flatMap(({ findings }) => findings);
  const unchecked = results.filter(({ outcome }) => outcome === 'not checked');
  const isAway = found.length > 0 && found.every(({ code }) => code === 'service_unreachable');
  if (isAway && found.length === 4) return DOCTOR_EXIT.unchecked;
  if (found.length > 0) return DOCTOR_EXIT.findings;
  return unchecked.length > 0 ? DOCTOR_EXIT.unchecked : DOCTOR_EXIT.fine;
}
