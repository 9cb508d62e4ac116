import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ZoneGate } from './zone-gate.ts';

const NO_QUORUM = { code: 'no_quorum' };

/** Registered until 100, at 0. */
function registered() {
  const clock = { nowMs: 0 };
  const gate = new ZoneGate(() => clock.nowMs);
  gate.see({ version: 1, rules: [] });
  gate.extend(100);
  return { clock, gate };
}

test('what began may go on while the registration is renewed in time', () => {
  const { clock, gate } = registered();
  const passage = gate.begin();
  for (const ms of [60, 120, 180]) {
    clock.nowMs = ms;
    gate.extend(ms + 100);
  }
  passage.check();
});

test('what stood still while the registration lapsed goes no further, renewed or not', () => {
  const { clock, gate } = registered();
  const passage = gate.begin();
  clock.nowMs = 100;
  assert.throws(() => passage.check(), NO_QUORUM);
  assert.throws(() => gate.begin(), NO_QUORUM);
  gate.extend(200);
  assert.throws(() => passage.check(), NO_QUORUM);
  gate.begin().check();
});
