import { MemplaneError, type StrongRecordLine } from '@memplane/contracts';
import type { StrongRecord } from '@memplane/runtime/strong';
import { erasureEvent } from '../domain/erasures/erasure-event.ts';
import {
  decodeErasures,
  type ErasureRecord,
  encodeErasures,
  erasureName,
  erasurePageName,
  OPEN_ERASURES,
} from '../domain/erasures/erasure-record.ts';
import { ALONE, type OpenErasure } from '../domain/erasures/open-erasures.ts';
import { HLC_AT } from '../domain/prepare.ts';
import { PAGE_IDS_MAX } from './erasure-list.ts';

/** An erasure whose event is in a log. */
export type LoggedErasure = Pick<
  ErasureRecord,
  'id' | 'tenant' | 'entity' | 'reason' | 'requestedAt' | 'isDone' | 'doneAt' | 'stores'
> & { readonly event: NonNullable<ErasureRecord['event']> };

/** The erasures of an export of the strong store that have come into the log, in the order of its keys. */
export async function* loggedErasures(
  lines: AsyncIterable<StrongRecordLine>,
): AsyncGenerator<LoggedErasure> {
  for await (const line of lines) {
    if (!('key' in line) || line.key.split('.', 3)[1] !== 'erasure') continue;
    const record = decodeErasures<ErasureRecord>(line.value);
    const { id, tenant, entity, reason, requestedAt, isDone, doneAt, event, stores } = record;
    if (event === undefined) continue;
    yield {
      ...{ id, tenant, entity, requestedAt, isDone, event, stores },
      ...(reason === undefined ? {} : { reason }),
      ...(doneAt === undefined ? {} : { doneAt }),
    };
  }
}

/**
 * The event of an erasure for another log: the same event, but for its stamp.
 * @param stamp in its text form
 */
export function erasureEventAgain(
  { tenant, entity, id, event, requestedAt }: LoggedErasure,
  stamp: string,
): { readonly key: string; readonly value: Buffer; readonly id: string } {
  const attempt = Number(event.id.slice(`erasure-${id}-`.length));
  const {
    key,
    value,
    id: eventId,
  } = erasureEvent(entity, id, { tenant, now: requestedAt }, attempt);
  if (eventId !== event.id) {
    throw new MemplaneError('storage_damaged', `${event.id} is no event of the erasure ${id}.`);
  }
  value.write(stamp, HLC_AT, 'latin1');
  return { key, value, id: eventId };
}

/**
 * The records of erasures of a plane that is restored: their receipts, the ids by page for stores that
 * can not list, and what is not done, which the plane goes on with as it starts.
 */
export function* erasureRecords(erasures: readonly LoggedErasure[]): Generator<StrongRecord> {
  const open: OpenErasure[] = [];
  const ids = new Map<string, string[]>();
  for (const erasure of erasures.toSorted((a, b) => (a.id < b.id ? -1 : 1))) {
    const { tenant, id, entity, isDone } = erasure;
    const record: ErasureRecord = { ...erasure, phase: isDone ? 'done' : 'clearing' };
    yield { key: erasureName(tenant, id), value: encodeErasures(record) };
    if (!isDone) open.push({ tenant, id, entity, isAppending: false, runner: ALONE });
    const known = ids.get(tenant);
    if (known === undefined) ids.set(tenant, [id]);
    else known.push(id);
  }
  for (const [tenant, all] of ids) {
    for (let page = 0; page * PAGE_IDS_MAX < all.length; page++) {
      const own = all.slice(page * PAGE_IDS_MAX, (page + 1) * PAGE_IDS_MAX);
      yield { key: erasurePageName(tenant, page), value: encodeErasures(own) };
    }
  }
  if (open.length > 0) yield { key: OPEN_ERASURES, value: encodeErasures(open) };
}
