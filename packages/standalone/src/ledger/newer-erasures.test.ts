import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { test } from 'node:test';
import type { LoggedErasure } from '@memplane/event-ingest/backup';
import type { LedgerEntry } from './ledger-object.ts';
import { dividedAt } from './newer-erasures.ts';

const LOG = randomUUID();
const AT = '2026-11-27T12:00:00.000Z';

function own(entity: string, partition: number, offset: number): LoggedErasure {
  const id = randomUUID();
  const event = { id: `erasure-${id}`, partition, offset };
  const common = { id, tenant: 'default', entity, requestedAt: AT, event };
  return { ...common, isDone: true, doneAt: AT, stores: [] };
}

function entryOf({ id, tenant, entity, event }: LoggedErasure, logId = LOG): LedgerEntry {
  return { tenant, entity, erasure: id, requestedAt: AT, logId, event };
}

const names = (erasures: readonly LoggedErasure[]) => erasures.map(({ entity }) => entity).sort();

test('an erasure is newer than a cut by its position, or if the backup does not know it', () => {
  const at = own('user/at', 0, 5);
  const beyond = own('user/beyond', 0, 6);
  const unknown = own('user/unknown', 1, 3);
  // Erased by a plane that was restored from an earlier backup: its offsets say nothing here.
  const elsewhere = own('user/elsewhere', 1, 0);
  // Of a plane that this one was restored from: its own record has the position here.
  const before = own('user/before', 1, 2);
  const moved = { ...before, event: { ...before.event, offset: 9_000 } };
  const { within, newer } = dividedAt(
    {
      own: [at, beyond, before],
      ledger: [
        ...[at, beyond, unknown].map((each) => entryOf(each)),
        ...[elsewhere, moved].map((each) => entryOf(each, randomUUID())),
      ],
    },
    { logId: LOG, offsets: [5, 2] },
  );
  assert.deepEqual(names(within), ['user/at', 'user/before']);
  assert.deepEqual(names(newer), ['user/beyond', 'user/elsewhere', 'user/unknown']);
});

test('one of this log that the backup has no record of yet is known by its position', () => {
  const late = own('user/late', 0, 4);
  const { within, newer } = dividedAt(
    { own: [], ledger: [entryOf(late)] },
    { logId: LOG, offsets: [4] },
  );
  assert.deepEqual([names(within), newer], [['user/late'], []]);
  assert.equal(within[0]?.isDone, false, 'whether it is cleared is not known');
});
