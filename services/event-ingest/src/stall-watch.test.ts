import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { StallWatch } from './stall-watch.ts';

const STALL_MS = 1_000;

function create(t: TestContext) {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  let nowMs = 0;
  let stalls = 0;
  const watch = new StallWatch({
    stallMs: STALL_MS,
    now: () => nowMs,
    onStall: () => stalls++,
  });
  const pass = (ms: number) => {
    for (let i = 0; i < ms; i += 50) {
      nowMs += 50;
      t.mock.timers.tick(50);
    }
  };
  const append = () => {
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    const answer = watch.watch(promise);
    answer.catch(() => {});
    return { answer, resolve, reject };
  };
  return { watch, pass, append, stalls: () => stalls };
}

const settle = () => new Promise((resolve) => setImmediate(resolve));

test('who waits for a log that is not heard is told so, and others are refused', async (t) => {
  const { watch, pass, append, stalls } = create(t);
  const [one, two] = [append(), append()];
  pass(STALL_MS - 50);
  assert.equal(watch.isStalled, false);
  watch.check();
  pass(50);
  await assert.rejects(one.answer, { code: 'storage_unavailable', retryAfterMs: STALL_MS });
  await assert.rejects(two.answer, { code: 'storage_unavailable' });
  assert.throws(() => watch.check(), { code: 'storage_unavailable' });
  assert.deepEqual([watch.isStalled, stalls()], [true, 1]);
});

test('an acknowledgement of any append is heard', async (t) => {
  const { watch, pass, append } = create(t);
  const slow = append();
  for (let i = 0; i < 5; i++) {
    const quick = append();
    pass(STALL_MS - 100);
    quick.resolve('quick');
    await settle();
  }
  assert.equal(watch.isStalled, false);
  slow.resolve('slow');
  assert.equal(await slow.answer, 'slow');
});

test('a log that is heard again takes appends again', async (t) => {
  const { watch, pass, append } = create(t);
  const late = append();
  pass(STALL_MS);
  await assert.rejects(late.answer);
  late.resolve('in the log after all');
  await settle();
  watch.check();
  const next = append();
  next.resolve('as ever');
  assert.equal(await next.answer, 'as ever');
});

test('after appends have failed, one at a time tries whether the log is there', async (t) => {
  const { watch, pass, append, stalls } = create(t);
  const first = append();
  pass(STALL_MS);
  first.reject(new Error('its deadline'));
  await settle();
  assert.equal(watch.isStalled, false, 'one may try');
  watch.check();
  const probe = append();
  assert.throws(() => watch.check(), { code: 'storage_unavailable' });
  pass(STALL_MS);
  await assert.rejects(probe.answer, { code: 'storage_unavailable' });
  assert.equal(stalls(), 2);
  probe.reject(new Error('its deadline'));
  await settle();
  const second = append();
  second.resolve('back');
  assert.equal(await second.answer, 'back');
  await settle();
  const [three, four] = [append(), append()];
  watch.check();
  three.resolve('3');
  four.resolve('4');
  assert.deepEqual(await Promise.all([three.answer, four.answer]), ['3', '4']);
});

test('a log that fails at once is no stall: its own errors are told', async (t) => {
  const { watch, pass, append } = create(t);
  for (let i = 0; i < 5; i++) {
    const failing = append();
    failing.reject(new Error('the disk is full'));
    await assert.rejects(failing.answer, /the disk is full/);
    pass(STALL_MS / 2);
    watch.check();
  }
});
