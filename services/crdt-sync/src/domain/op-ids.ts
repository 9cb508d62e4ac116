import { hlcToMs } from '@memplane/clock';
import type { Claim } from '@memplane/crdt';
import * as refusals from './refusals.ts';

/** By what an operation id is judged before anything is looked up. */
export interface OpIdRule {
  readonly opid_memory_ms: number;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

/** RFC 9562: the first 48 bits are milliseconds since 1970. */
const UUID_V7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/i;

/** When an operation id was made, in milliseconds since 1970; undefined where it does not say. */
function madeAtMs(opId: string): number | undefined {
  if (!UUID_V7.test(opId)) return undefined;
  return Number.parseInt(opId.slice(0, 8) + opId.slice(9, 13), 16);
}

/**
 * Refuses an operation id that may have been counted and forgotten since, whatever is known of it:
 * what a replica that was emptied knows may be nothing. One that does not say when it was made is
 * judged by when it was first counted, for as long as that is remembered.
 * @throws MemplaneError `bad_opid`
 */
export function checkOpId(opId: string, { now, opid_memory_ms }: OpIdRule): void {
  const atMs = madeAtMs(opId);
  if (atMs === undefined) return;
  const nowMs = now();
  if (nowMs - atMs > opid_memory_ms) throw refusals.oldOpId(opid_memory_ms);
  // It could not be forgotten in its turn.
  if (atMs - nowMs > opid_memory_ms) throw refusals.earlyOpId(opid_memory_ms);
}

/**
 * From when on no replica takes an operation id any more, by this one's clock: the others' may be
 * behind by the drift.
 */
export function endsAtMs(
  opId: string,
  claim: Claim,
  limits: { readonly opid_memory_ms: number; readonly hlc_drift_max_ms: number },
): number {
  const fromMs = Math.max(hlcToMs(claim.hlc), madeAtMs(opId) ?? 0);
  return fromMs + limits.opid_memory_ms + limits.hlc_drift_max_ms;
}
