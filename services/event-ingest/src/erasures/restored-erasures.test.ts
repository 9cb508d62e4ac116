import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { StrongRecordLine } from '@memplane/contracts';
import { erasureEvent } from '../domain/erasures/erasure-event.ts';
import {
  decodeErasures,
  type ErasureRecord,
  encodeErasures,
  erasureName,
  OPEN_ERASURES,
} from '../domain/erasures/erasure-record.ts';
import type { OpenErasures } from '../domain/erasures/open-erasures.ts';
import {
  erasureEventAgain,
  erasureRecords,
  type LoggedErasure,
  loggedErasures,
} from './restored-erasures.ts';

const AT = '2026-11-27T12:00:00.000Z';
const STAMP = '01a21e55e126-000b';

function erasure(n: number, tenant = 'default', isDone = true): LoggedErasure {
  const id = `0197a0b1-c2d3-7000-8000-${String(n).padStart(12, '0')}`;
  const event = { id: `erasure-${id}`, partition: 1, offset: n };
  const done = isDone ? { doneAt: AT } : {};
  return { id, tenant, entity: `user/${n}`, requestedAt: AT, isDone, event, stores: [], ...done };
}

describe('erasures of a plane that is restored', () => {
  test('are read from an export, without those that never came into the log', async () => {
    const logged = { ...erasure(1), keyId: 'gone', runner: 'a-pod', sequence: 4, phase: 'done' };
    const { event: _none, ...begun } = { ...erasure(2), phase: 'appending' as const };
    const records: readonly (readonly [string, object])[] = [
      [erasureName('default', logged.id), logged],
      [erasureName('default', begun.id), begun],
      ['default.hold.user:1', { entity: 'user/1', reason: 'case 17', since: AT }],
      [OPEN_ERASURES, [{ tenant: 'default', id: begun.id }]],
    ];
    async function* lines(): AsyncGenerator<StrongRecordLine> {
      yield { format: 1, keyId: 0 };
      for (const [key, record] of records) yield { key, value: encodeErasures(record) };
      yield { end: true, count: records.length };
    }
    assert.deepEqual(await Array.fromAsync(loggedErasures(lines())), [erasure(1)]);
  });

  test('have the event that they had, with another stamp', () => {
    for (const attempt of [0, 3]) {
      const { id, tenant, entity, ...rest } = erasure(7, 'acme');
      const before = erasureEvent(entity, id, { tenant, now: AT }, attempt);
      const event = { ...rest.event, id: before.id };
      const again = erasureEventAgain({ ...rest, id, tenant, entity, event }, STAMP);
      assert.equal(again.id, before.id);
      assert.equal(again.key, before.key);
      const expected = { ...JSON.parse(before.value.toString()), hlc: STAMP };
      assert.deepEqual(JSON.parse(again.value.toString()), expected);
    }
    const foreign = { ...erasure(7), event: { ...erasure(7).event, id: 'another' } };
    assert.throws(() => erasureEventAgain(foreign, STAMP), { code: 'storage_damaged' });
  });

  test('are kept with their receipts, by page, and gone on with where they are not done', () => {
    const all = Array.from({ length: 1_001 }, (_, n) => erasure(1_001 - n));
    const open = erasure(5_000, 'acme', false);
    const records = new Map(
      [...erasureRecords([open, ...all])].map(({ key, value }) => [key, value] as const),
    );
    assert.equal(records.size, 1_002 + 3 + 1);
    const page = (name: string) => decodeErasures<string[]>(records.get(name) ?? '');
    const ids = all.map(({ id }) => id).sort();
    assert.deepEqual(page('default.erasure-ids.0'), ids.slice(0, 1_000));
    assert.deepEqual(page('default.erasure-ids.1'), ids.slice(1_000));
    assert.deepEqual(page('acme.erasure-ids.0'), [open.id]);
    const record = records.get(erasureName('acme', open.id)) ?? '';
    assert.equal(decodeErasures<ErasureRecord>(record).phase, 'clearing');
    const [entry, ...others] = decodeErasures<OpenErasures>(records.get(OPEN_ERASURES) ?? '');
    assert.deepEqual([entry?.id, entry?.isAppending, others.length], [open.id, false, 0]);
  });
});
