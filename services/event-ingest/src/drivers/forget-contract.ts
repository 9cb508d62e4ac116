import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import type { StrongStore } from '@memplane/runtime/strong';
import { forgetProgram } from '../domain/strong/forget-program.ts';
import {
  decodeHead,
  encodeHead,
  type Head,
  headKey,
  remembered,
  withEvents,
  withLease,
  withoutIntent,
} from '../domain/strong/head.ts';
import type { EntityName, IntentEvent, Program } from '../domain/strong/program.ts';

const NEW: Head = { sequence: 0, zones: 1, leases: [], recent: [] };
const SECRET = 'what was said';
const ERASURE = 'erasure-1';

/** What a head has to forget of before an erasure, on any store. */
export async function checkForgetting(store: StrongStore): Promise<void> {
  const written = intended(NEW, 'a', ['e1', 'e2']);
  const guarded = withLease(written, 'l', 7, true) ?? assert.fail();

  // A strong entity: the event that erases is in the head, and appended next.
  const strong = newEntity();
  await store.create(headKey(strong), encodeHead(intended(guarded, 'b', [ERASURE], '')));
  assert.equal(await run(store, forgetProgram(strong, ERASURE)), 3);
  let { text, head } = await headOf(store, strong);
  assert.ok(!text.includes(SECRET));
  assert.deepEqual(
    [head.sequence, head.leases, head.intent?.nonce, head.recent.map(({ nonce }) => nonce)],
    [3, guarded.leases, 'b', ['b']],
  );
  assert.equal(await run(store, forgetProgram(strong, ERASURE)), 3, 'again is harmless');
  assert.equal(remembered(head, 3), 0);
  assert.equal(
    remembered(withEvents(head, 'c', [eventOf('e1', '')]), 3),
    0,
    'later ones count not',
  );

  // One that is eventual by now, whose last intent nobody has cleared.
  const former = newEntity();
  await store.create(headKey(former), encodeHead(written));
  assert.equal(remembered(written, 3), 2);
  assert.equal(await run(store, forgetProgram(former, ERASURE)), 3);
  ({ text, head } = await headOf(store, former));
  assert.ok(!text.includes(SECRET));
  assert.deepEqual([head.sequence, head.intent, head.recent], [2, undefined, []]);

  const cleared = withoutIntent(written);
  assert.equal(remembered(cleared, 3), 2, 'ids alone are found too');
  assert.equal(await run(store, forgetProgram(newEntity(), ERASURE)), undefined, 'without a head');
}

function newEntity(): EntityName {
  return { tenant: 'default', entity: `ledger/${randomUUID()}` };
}

const eventOf = (id: string, text: string): IntentEvent => ({ id, digest: id.repeat(12), text });

function intended(head: Head, nonce: string, ids: readonly string[], text = SECRET): Head {
  const events = ids.map((id) => eventOf(id, text));
  return { ...withEvents(head, nonce, events), intent: { nonce, events } };
}

async function headOf(store: StrongStore, of: EntityName): Promise<{ text: string; head: Head }> {
  const text = (await store.get(headKey(of)))?.value ?? assert.fail();
  return { text, head: decodeHead(text) };
}

/** Runs what only reads and writes the store. */
async function run<T>(store: StrongStore, program: Program<T>): Promise<T> {
  let next = program.next();
  while (next.done !== true) {
    const effect = next.value;
    let answer: unknown;
    if (effect.do === 'get') answer = await store.get(effect.key);
    else if (effect.do === 'write' && effect.version !== undefined) {
      answer = await store.compareAndSet(effect.key, effect.value, effect.version);
    } else assert.equal(effect.do, 'pause');
    next = program.next(answer);
  }
  return next.value;
}
