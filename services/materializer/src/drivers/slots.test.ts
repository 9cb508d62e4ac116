import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { Slots } from './slots.ts';

/** Takes the only place, lets others ask for it, and tells in which order they got it. */
async function orderOf(users: readonly { name: string; isAwaited: boolean }[]): Promise<string[]> {
  const slots = new Slots(1);
  const order: string[] = [];
  const first = Promise.withResolvers<void>();
  const all = [slots.use({ isAwaited: false }, () => first.promise)];
  for (const user of users) {
    all.push(
      slots.use(user, async () => {
        order.push(user.name);
      }),
    );
  }
  assert.equal(slots.isContended, users.length > 0);
  first.resolve();
  await Promise.all(all);
  assert.equal(slots.isContended, false);
  return order;
}

test('places are given in the order of asking, the awaited first', async () => {
  const named = (text: string) =>
    [...text].map((name) => ({ name, isAwaited: name === name.toUpperCase() }));
  assert.deepEqual(await orderOf(named('abc')), ['a', 'b', 'c']);
  assert.deepEqual(await orderOf(named('abCdE')), ['C', 'E', 'a', 'b', 'd']);
});

test('nobody is passed over more than three times in a row', async () => {
  const awaited = Array.from({ length: 7 }, (_, n) => ({ name: `A${n}`, isAwaited: true }));
  const order = await orderOf([{ name: 'a', isAwaited: false }, ...awaited]);
  assert.deepEqual(order, ['A0', 'A1', 'A2', 'a', 'A3', 'A4', 'A5', 'A6']);
});

test('a place is given back when the work fails', async () => {
  const slots = new Slots(1);
  const user = { isAwaited: false };
  await assert.rejects(
    slots.use(user, () => Promise.reject(new Error('no'))),
    /no/,
  );
  assert.equal(await slots.use(user, async () => 'yes'), 'yes');
});

test('reserved places are for the awaited alone, also for those that came earlier', async () => {
  const slots = new Slots(1, 1);
  const order: string[] = [];
  const common = Promise.withResolvers<void>();
  const reserved = Promise.withResolvers<void>();
  const ask = (user: { isAwaited: boolean }, name: string, until: Promise<void>) =>
    slots.use(user, async () => {
      order.push(name);
      await until;
    });
  const patient = { isAwaited: false };
  const hurried = { isAwaited: false };
  const all = [
    ask(patient, 'first', common.promise),
    ask(patient, 'second', Promise.resolve()),
    ask(hurried, 'hurried', reserved.promise),
  ];
  await nextTurn();
  assert.deepEqual(order, ['first']);
  hurried.isAwaited = true;
  slots.hurry();
  all.push(ask({ isAwaited: true }, 'awaited', Promise.resolve()));
  await nextTurn();
  assert.deepEqual(order, ['first', 'hurried']);
  reserved.resolve();
  await nextTurn();
  assert.deepEqual(order, ['first', 'hurried', 'awaited']);
  common.resolve();
  await Promise.all(all);
  assert.deepEqual(order, ['first', 'hurried', 'awaited', 'second']);
});

test('while an awaited one is at work, no other begins beside it', async () => {
  const slots = new Slots(3, 2);
  const order: string[] = [];
  const until = Promise.withResolvers<void>();
  const ask = (name: string, isAwaited: boolean, end: Promise<void>) =>
    slots.use({ isAwaited }, async () => {
      order.push(name);
      await end;
    });
  const all = [
    ask('first', true, until.promise),
    ask('patient', false, Promise.resolve()),
    ask('second', true, until.promise),
  ];
  await nextTurn();
  assert.deepEqual(order, ['first', 'second']);
  until.resolve();
  await Promise.all(all);
  assert.deepEqual(order, ['first', 'second', 'patient']);
});

test('who is passed over often enough begins beside the awaited', async () => {
  const slots = new Slots(3, 2);
  const order: string[] = [];
  const ask = (name: string, isAwaited: boolean, end: Promise<void>) =>
    slots.use({ isAwaited }, async () => {
      order.push(name);
      await end;
    });
  const long = Promise.withResolvers<void>();
  const all = [ask('long', true, long.promise), ask('patient', false, Promise.resolve())];
  for (const name of ['A', 'B', 'C', 'D']) {
    all.push(ask(name, true, Promise.resolve()));
    await nextTurn();
  }
  assert.deepEqual(order.slice(0, 3), ['long', 'A', 'B']);
  assert.deepEqual(order.slice(3, 5).sort(), ['C', 'patient']);
  assert.equal(order[5], 'D');
  long.resolve();
  await Promise.all(all);
});
