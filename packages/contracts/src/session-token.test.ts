import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decodeSessionToken, encodeSessionToken, joinVectors } from './session-token.ts';

const A = '0123456789abcdef0123456789abcdef';
const B = 'ff'.repeat(16);

test('a session token gives back its vector, and nothing of what has no commits', () => {
  const vector = new Map([
    [A, 2 ** 48 - 1],
    ['00'.repeat(16), 0],
    [B, 1],
  ]);
  const token = encodeSessionToken(vector);
  assert.match(token, /^mct_[A-Za-z0-9_-]+$/);
  assert.deepEqual(
    [...decodeSessionToken(token)],
    [
      [A, 2 ** 48 - 1],
      [B, 1],
    ],
  );
  assert.equal(decodeSessionToken(encodeSessionToken(new Map())).size, 0);
});

test('any slip of the hand is found', () => {
  const token = encodeSessionToken(new Map([[A, 7]]));
  const wrong = [
    '',
    'mct_',
    'mct_AA',
    token.slice(0, -1),
    `${token}A`,
    token.replace('mct_', 'mpt_'),
    ...[...token].map((letter, at) => {
      return token.slice(0, at) + (letter === 'x' ? 'y' : 'x') + token.slice(at + 1);
    }),
  ];
  for (const text of wrong) {
    assert.throws(() => decodeSessionToken(text, 'query.after'), {
      code: 'invalid_token',
      field: 'query.after',
    });
  }
});

test('vectors are joined by their highest numbers', () => {
  const joined = joinVectors([
    new Map([[A, 3]]),
    new Map([
      [A, 2],
      [B, 1],
    ]),
  ]);
  assert.deepEqual(
    joined,
    new Map([
      [A, 3],
      [B, 1],
    ]),
  );
});
