import { MemplaneError } from '@memplane/contracts';

export const DAY_MS = 86_400_000;
/** Days of one answer. */
const DAYS_MAX = 400;
/** How far the clocks of instances may differ about when a day is over. */
const DAY_END_MS = 60_000;

/** Where a reader of the audit is: the day of an entity, and the offset to go on from. */
export interface AuditPlace {
  readonly day: string;
  readonly offset: number;
}

export function dayOf(ms: number): string {
  return new Date(ms).toISOString().slice(0, 10);
}

/** @throws MemplaneError `invalid_cursor` */
export function placeOf(cursor: string): AuditPlace {
  const match = /^(\d{4}-\d{2}-\d{2})\.(\d{1,15})$/.exec(cursor);
  const day = match?.[1] ?? '';
  if (match === null || Number.isNaN(Date.parse(day))) {
    throw new MemplaneError('invalid_cursor', 'This is no cursor of the audit.', {
      field: 'query.cursor',
    });
  }
  return { day, offset: Number(match[2]) };
}

export function cursorOf({ day, offset }: AuditPlace): string {
  return `${day}.${offset}`;
}

/**
 * The days from a place on that may have records from before `toMs`, the last of them today. A
 * record can be appended a while after it was made, so the day after `toMs` counts too.
 */
export function daysFrom(day: string, toMs: number, nowMs: number): string[] {
  const last = Math.min(Math.max(toMs, 0) + DAY_MS, nowMs);
  const days: string[] = [];
  for (let ms = Date.parse(day); ms <= last && days.length < DAYS_MAX; ms += DAY_MS) {
    days.push(dayOf(ms));
  }
  return days;
}

/** Whether nothing more can come to a day, whichever instance appends it. */
export function isOver(day: string, nowMs: number): boolean {
  return nowMs >= Date.parse(day) + DAY_MS + DAY_END_MS;
}
