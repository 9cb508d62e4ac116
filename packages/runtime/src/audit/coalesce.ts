import type { AuditRecord } from '@memplane/contracts';
import type { CallRecord } from './call-record.ts';

/**
 * Puts calls together that differ in their time and trace alone. Beyond `detailed_records_max`
 * records, what was asked for and from where is left out too, so that a flood costs detail and never
 * a count. The same calls always become the same records, with the same ids.
 * @param source names where the calls come from; unlike any other
 */
export function coalesce(
  calls: Iterable<CallRecord>,
  source: string,
  detailed_records_max: number,
): AuditRecord[] {
  const records = new Map<string, CallRecord & { count: number }>();
  for (const call of calls) {
    const count = call.count ?? 1;
    const known = records.get(keyOf(call));
    if (known !== undefined) known.count += count;
    else if (records.size < detailed_records_max) records.set(keyOf(call), { ...call, count });
    else {
      const { target: _, address: __, traceId: ___, ...coarse } = call;
      const same = records.get(keyOf(coarse));
      if (same !== undefined) same.count += count;
      else records.set(keyOf(coarse), { ...coarse, count });
    }
  }
  return Array.from(records.values(), (record, i) => ({ id: `${source}.${i}`, ...record }));
}

function keyOf(call: CallRecord): string {
  const { tenant, subject, operation, target, outcome, address } = call;
  return JSON.stringify([tenant, subject, operation, outcome, target, address]);
}
