import { AUDIT_TENANT, type AuditRecord, auditEntity, MemplaneError } from '@memplane/contracts';
import { type AuditPlace, DAY_MS, dayOf, daysFrom, isOver } from '../domain/audit-days.ts';
import { readHistory } from './history.ts';
import type { Plane, Waiting } from './plane.ts';

export interface AuditRequest {
  readonly tenant: string;
  readonly place: AuditPlace;
  /** Of the records, ms since 1970; the end exclusive. */
  readonly fromMs: number;
  readonly toMs: number;
  readonly subject: string | undefined;
  readonly operation: string | undefined;
  readonly outcome: string | undefined;
  readonly limit: number;
}

export interface AuditRead {
  readonly records: readonly AuditRecord[];
  /** Where to go on; undefined where nothing can follow. */
  readonly next: AuditPlace | undefined;
}

/** Looked at for one answer: a filter that finds little costs no more. */
const SCAN_RECORDS_MAX = 5_000;
const PAGE_RECORDS = 500;

/** @throws MemplaneError `history_expired`, `owner_moving` */
export async function readAudit(
  plane: Plane,
  request: AuditRequest,
  wait: Waiting,
): Promise<AuditRead> {
  const { place, tenant, toMs } = request;
  const nowMs = plane.now();
  const records: AuditRecord[] = [];
  let left = SCAN_RECORDS_MAX;
  let next = place;
  for (const day of daysFrom(place.day, toMs, nowMs)) {
    let offset = day === place.day ? place.offset : 0;
    for (let isMore = true; isMore; ) {
      const limit = Math.min(PAGE_RECORDS, left);
      const page = await pageOf(plane, { tenant, day, from: offset, limit }, wait);
      for (const [i, { offset: at, event }] of page.events.entries()) {
        if (matches(event.data.data, request)) records.push(event.data.data);
        offset = at + 1;
        if (records.length < request.limit) continue;
        const isLast =
          i === page.events.length - 1 && page.next === undefined && isOver(day, nowMs);
        return { records, next: isLast ? following(day) : { day, offset } };
      }
      left -= page.events.length;
      if (left <= 0) return { records, next: { day, offset } };
      isMore = page.next !== undefined;
    }
    // A day that may still get some is not left behind.
    if (!isOver(day, nowMs)) return { records, next: { day, offset } };
    next = following(day);
  }
  return { records, next: isPast(next, toMs) ? undefined : next };
}

function isPast({ day }: AuditPlace, toMs: number): boolean {
  return Date.parse(day) > toMs + DAY_MS;
}

function following(day: string): AuditPlace {
  return { day: dayOf(Date.parse(day) + DAY_MS), offset: 0 };
}

function matches(record: AuditRecord, request: AuditRequest): boolean {
  const { subject, operation, outcome, fromMs, toMs } = request;
  const ms = Date.parse(record.time);
  return (
    ms >= fromMs &&
    ms < toMs &&
    (subject === undefined || record.subject === subject) &&
    (operation === undefined || record.operation === operation) &&
    (outcome === undefined || record.outcome === outcome)
  );
}

interface Page {
  readonly events: readonly {
    readonly offset: number;
    readonly event: { readonly data: { readonly data: AuditRecord } };
  }[];
  readonly next?: number;
}

/** Of a day without records: an empty one. */
async function pageOf(
  plane: Plane,
  asked: { tenant: string; day: string; from: number; limit: number },
  wait: Waiting,
): Promise<Page> {
  const { tenant, day, from, limit } = asked;
  const entity = auditEntity(tenant, day);
  try {
    const request = { tenant: AUDIT_TENANT, entity, from, limit };
    return JSON.parse(await readHistory(plane, request, wait)) as Page;
  } catch (error) {
    if (error instanceof MemplaneError && error.code === 'not_found') return { events: [] };
    throw error;
  }
}
