import assert from 'node:assert/strict';
import { test } from 'node:test';
import { describeCut, sidesOf } from './cut.ts';
import type { Heartbeat } from './heartbeat.ts';

/** `ab`: hears a and b; `ab-c`: and misses c. */
function said(text: string): Heartbeat {
  const [hears = '', misses = ''] = text.split('-');
  const fixed = { epoch: 1, sequence: 1, viewVersion: 1, incarnation: '', leaving: false };
  return { ...fixed, hears: [...hears], misses: [...misses] };
}

/** What `a` knows. */
function view(heard: Record<string, string>, unheard: Record<string, string | undefined>) {
  return {
    self: 'a',
    heard: new Map(Object.entries(heard).map(([id, text]) => [id, said(text)])),
    unheard: new Map(
      Object.entries(unheard).map(([id, text]) => [id, text === undefined ? text : said(text)]),
    ),
  };
}

const SIDES: readonly (readonly [string, ReturnType<typeof view>])[] = [
  ['ab cde', view({ b: 'a-cde' }, { c: 'abde', d: 'abce', e: 'abcd' })],
  ['a bc', view({}, { b: undefined, c: undefined })],
  // An old word of those that are silent: e had lost c and d before.
  ['ab cd e', view({ b: 'a-cde' }, { c: 'abd-e', d: 'abc-e', e: 'ab-cd' })],
  // One that b reaches is on b's side.
  ['abc de', view({ b: 'ac-de' }, { c: 'ab-de', d: 'e', e: 'd' })],
  // A one-way cut parts nobody who is reached by another way.
  ['abc', view({ b: 'c-a', c: 'ab' }, {})],
  ['a bc', view({ b: 'c-a', c: 'b-a' }, {})],
  // Newcomers that do not know each other yet are not cut off.
  ['abc', view({ b: 'a', c: 'a' }, {})],
];

test('replicas that hear each other are on one side', () => {
  for (const [expected, seen] of SIDES) {
    assert.equal(
      sidesOf(seen)
        .map((side) => side.join(''))
        .join(' '),
      expected,
    );
  }
});

test('what is said fits what is known', () => {
  const cases: readonly (readonly [string, ReturnType<typeof view>])[] = [
    [
      'replica c is not heard: it is down or cut off; a hears b; b hears a',
      view({ b: 'a-c' }, { c: 'ab' }),
    ],
    [
      'replica c is not heard, but b hears it: the way from c to a is cut; a hears b; b hears a, c',
      view({ b: 'ac' }, { c: 'ab' }),
    ],
    [
      'a hears b, but b does not hear a: the way from a to b is cut; a hears b; b hears nobody',
      view({ b: '-a' }, {}),
    ],
    [
      'replicas b, c are not heard; likely cut: {a} | {b, c}; a hears nobody',
      view({}, { b: 'ac', c: 'ab' }),
    ],
  ];
  for (const [words, seen] of cases) assert.equal(describeCut(seen), words);
});

test('the text does not grow with the cluster', () => {
  const ids = Array.from({ length: 500 }, (_, i) => `replica-${i}`);
  const all = { ...said(''), hears: ids };
  const text = describeCut({
    self: 'a',
    heard: new Map(ids.slice(0, 250).map((id) => [id, all])),
    unheard: new Map(ids.slice(250).map((id) => [id, all])),
  });
  assert.ok(text.length < 8_000, `${text.length}`);
  assert.match(text, /234 more/);
});
