import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { firstHlcOf } from '@memplane/clock';
import { UNPLACED } from '@memplane/crdt';
import { checkOpId, endsAtMs } from './op-ids.ts';

const NOW = 1_790_000_000_000;
const MEMORY_MS = 600_000;
const rule = { now: () => NOW, opid_memory_ms: MEMORY_MS };

/** A UUIDv7 of a time. */
function uuidAt(ms: number): string {
  const hex = ms.toString(16).padStart(12, '0');
  return `${hex.slice(0, 8)}-${hex.slice(8)}-7abc-9abc-0123456789ab`;
}

describe('operation ids', () => {
  it('that are UUIDv7 are refused when they are too old, or from too far in the future', () => {
    for (const ms of [NOW, NOW - MEMORY_MS, NOW + MEMORY_MS]) checkOpId(uuidAt(ms), rule);
    for (const ms of [NOW - MEMORY_MS - 1, NOW + MEMORY_MS + 1, 0]) {
      const refusal = { code: 'bad_opid', field: 'body.opId' };
      assert.throws(() => checkOpId(uuidAt(ms), rule), refusal);
      assert.throws(() => checkOpId(uuidAt(ms).toUpperCase(), rule), refusal);
    }
  });

  it('of any other form are judged by nothing but what is remembered', () => {
    const others = ['x', uuidAt(0).replace('-7', '-4'), `${uuidAt(0)}0`, uuidAt(0).slice(1)];
    for (const opId of others) checkOpId(opId, rule);
  });

  it('are remembered from when they were made or counted, whichever is later', () => {
    const claim = { by: 1, hlc: firstHlcOf(NOW), ...UNPLACED };
    const limits = { opid_memory_ms: MEMORY_MS, hlc_drift_max_ms: 60_000 };
    assert.equal(endsAtMs('x', claim, limits), NOW + 660_000);
    assert.equal(endsAtMs(uuidAt(NOW - 5), claim, limits), NOW + 660_000);
    assert.equal(endsAtMs(uuidAt(NOW + 5), claim, limits), NOW + 660_005);
  });
});
