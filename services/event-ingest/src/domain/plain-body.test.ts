import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LIMITS } from '@memplane/contracts';
import canonicalize from 'canonicalize';
import fc from 'fast-check';
import { unpackBody } from './packed-body.ts';
import { preparePlain } from './plain-body.ts';
import { DOUBT, PlainJson } from './plain-json.ts';
import { type BodyContext, prepareParsed } from './prepare-body.ts';

const CONTEXT: BodyContext = {
  tenant: 'default',
  dimensions: 4,
  defaultSource: 'anonymous',
  now: '2026-01-31T09:30:00.000Z',
  traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
  newId: () => 'made',
};

/**
 * Whatever the quick way takes, the other way makes the same bytes of; whatever the other way
 * refuses, the quick way must leave to it.
 * @returns whether the quick way took it
 */
function agrees(body: string | Buffer): boolean {
  const bytes = Buffer.from(body);
  const plain = preparePlain(bytes, CONTEXT);
  if (plain === undefined) return false;
  const parsed = prepareParsed(bytes, CONTEXT);
  assert.deepEqual(unpackBody(plain, 'default'), unpackBody(parsed, 'default'));
  return true;
}

const text = fc.string({ minLength: 1, maxLength: 12, unit: 'binary' });
/** Mostly right, so that whole bodies often are. */
const mostly = <T, U>(right: fc.Arbitrary<T>, wrong: fc.Arbitrary<U>) =>
  fc.oneof({ weight: 30, arbitrary: right }, { weight: 1, arbitrary: wrong });
const time = mostly(
  fc
    .date({ noInvalidDate: true, min: new Date(0), max: new Date(4e12) })
    .map((date) => date.toISOString()),
  fc.constantFrom(
    ...['2024-02-29T09:30:00Z', '2026-02-29T09:30:00Z', '2026-04-31T00:00:00.5Z'],
    ...['2026-01-31T09:30:00.123+01:00', '2026-01-31T09:30Z', '2026-01-31T24:00:00Z'],
  ),
);
const key = mostly(fc.stringMatching(/^[a-z]{0,3}$/), fc.string());
const json = fc.letrec<{ value: unknown; leaf: unknown }>((tie) => ({
  leaf: fc.oneof(fc.integer(), fc.double().map(Number), fc.boolean(), fc.constant(null), text),
  value: fc.oneof(
    { maxDepth: 3 },
    tie('leaf'),
    fc.array(tie('value'), { maxLength: 3 }),
    fc.dictionary(key, tie('value'), { maxKeys: 4 }),
  ),
})).value;
const memory = fc.record(
  {
    id: text,
    text: fc.string(),
    metadata: fc.dictionary(key, json),
    ttl: mostly(fc.integer({ min: 1 }), fc.constant(0)),
  },
  { requiredKeys: ['id'] },
);
const event = fc.record(
  {
    id: mostly(text, fc.string({ minLength: 120, maxLength: 140 })),
    type: text,
    entity: mostly(
      fc.constantFrom('user/42', 'a.b~c@d-e_/x'),
      fc.constantFrom('no entity', 'user/..'),
    ),
    source: text,
    time,
    data: json,
    attributes: mostly(fc.dictionary(key, json), json),
    memory,
    correlationId: text,
    causationId: mostly(text, fc.constantFrom(7, '')),
  },
  { requiredKeys: ['type', 'entity'] },
);
/** The members in another order: the order of the schema is not the senders'. */
const shuffled = fc
  .tuple(event, fc.array(fc.nat(), { minLength: 10, maxLength: 10 }))
  .map(([members, ranks]) =>
    Object.fromEntries(
      Object.entries(members)
        .map((member, i) => [ranks[i] ?? 0, member] as const)
        .sort(([a], [b]) => a - b)
        .map(([, member]) => member),
    ),
  );
const body = mostly(
  fc.oneof(shuffled, fc.array(shuffled, { minLength: 1, maxLength: 4 })),
  fc.jsonValue(),
);

test('the quick way makes of a body what the other way makes of it, or leaves it', () => {
  let taken = 0;
  fc.assert(
    fc.property(body, (value) => {
      if (agrees(JSON.stringify(value))) taken++;
    }),
    { numRuns: 1000 },
  );
  assert.ok(taken > 300, `only ${taken} were taken`);
});

/** What makes JSON another, or none. */
const DEVIATIONS = ['{', '}', '[', ']', '"', ',', ':', '\\', '\\u', '\\ud800', '\\n', '\\/'].concat(
  [' ', '\n', '\u0001', '\u007f', '\u2028', 'é', '😀', '\ufeff', '0', '1', '9', '.', '-', '-0'],
  ['e', 'E+1', '1e21', '1e+21', '1e400', '00', '1.0', '1.50', 'true', 'null', 'NaN', 'Infinity'],
  ['"__proto__":1,', '"10":1,', '"9":2,', '"id":"b",', '"entity":"user/43",', '"data":null,'],
  ['"memory":{"id":"m"},', '"specversion":"1.0",', '"lease":"l",', '"time":"x",', '"a":1,"a":2,'],
);
const deviation = fc.tuple(fc.nat(), fc.nat({ max: 3 }), fc.constantFrom(...DEVIATIONS));

test('so it is for texts that no serializer wrote', () => {
  let taken = 0;
  fc.assert(
    fc.property(body, fc.array(deviation, { minLength: 1, maxLength: 3 }), (value, deviations) => {
      let json = JSON.stringify(value);
      for (const [place, cut, more] of deviations) {
        const at = place % (json.length + 1);
        json = json.slice(0, at) + more + json.slice(at + cut);
      }
      if (agrees(json)) taken++;
    }),
    { numRuns: 3000 },
  );
  assert.ok(taken > 100, `only ${taken} were taken`);
});

/** JSON as text, of few and mostly odd parts, so that they meet. */
const rawKey = fc.constantFrom(
  ...[
    '"a"',
    '"b"',
    '"b"',
    '"10"',
    '"9"',
    '"__proto__"',
    '"\\u0061"',
    '""',
    '"é"',
    '"\uffff"',
    '"😀"',
  ],
);
const rawLeaf = fc.constantFrom(
  ...[
    '1',
    '-1.5',
    '-0',
    '1e21',
    '1e+21',
    '1.0',
    'null',
    'true',
    '"a"',
    '"é"',
    '"\\n"',
    '"\\u001f"',
  ],
  ...['"\\ud800"', '"\\ud83d\\ude00"', '"\\udc00"', '"\\u0041"', '"\\/"', '"\\"', '""', '{}', '[]'],
);
const raw = fc.letrec<{ value: string }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 2, depthSize: 'small' },
    rawLeaf,
    fc
      .array(fc.tuple(rawKey, tie('value')), { maxLength: 4 })
      .map((members) => `{${members.map((member) => member.join(':')).join()}}`),
    fc.array(tie('value'), { maxLength: 3 }).map((items) => `[${items.join()}]`),
  ),
})).value;
const rawMember = fc.oneof(
  raw.map((value) => `"data":${value}`),
  raw.map((value) => `"attributes":{"k":${value}}`),
  fc.tuple(fc.constantFrom('id', 'type', 'source'), rawLeaf).map(([k, v]) => `"${k}":${v}`),
  fc.constantFrom('"entity":"user\\/42"', '"entity":"user/43"', '"time":"2026-01-01T00:00:00Z"'),
  fc.constantFrom('"memory":{"id":"m"}', '"lease":"l"', '"\\u0069d":"x"', '"unknown":1'),
);

test('so it is where odd things come together', () => {
  let taken = 0;
  fc.assert(
    fc.property(fc.array(rawMember, { maxLength: 3 }), (members) => {
      if (agrees(`{${['"type":"T"', '"entity":"user/42"', ...members].join()}}`)) taken++;
    }),
    { numRuns: 5000 },
  );
  assert.ok(taken > 300, `only ${taken} were taken`);
});

test('so it is for members put in, numbers in any spelling, and bytes that are no UTF-8', () => {
  const start = '{"type":"T","entity":"user/42"';
  for (const more of DEVIATIONS) agrees(`${start},${more.replace(/,$/, '')}}`);
  const digits = fc.stringMatching(/^-?[0-9]{1,25}(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?$/);
  let taken = 0;
  fc.assert(
    fc.property(fc.oneof(digits, fc.double().map(String)), (number) => {
      if (agrees(`${start},"data":{"b":${number},"a":[${number}]}}`)) taken++;
    }),
    { numRuns: 2000 },
  );
  assert.ok(taken > 200, `only ${taken} were taken`);
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 20 }), (bytes) => {
      const parts = [Buffer.from(`${start},"id":"`), bytes, Buffer.from('"}')];
      agrees(Buffer.concat(parts));
    }),
  );
});

test('takes what agents send, in either order, and leaves what must be looked at', () => {
  const good = '{"type":"T","entity":"user/42","data":{"b":"a \\"word\\"\\n","a":[1,2.5,{}]}}';
  const withMemory = '{"type":"T","entity":"user/42","memory":{"id":"m","text":"é"}}';
  const cloud = '{"specversion":"1.0","id":"a","type":"T","source":"s","subject":"user/42"}';
  for (const one of [good, withMemory, cloud]) {
    assert.ok(agrees(one));
    assert.ok(agrees(`[${good},${one},${good}]`));
  }
  for (const other of ['', '[]', `${good} `, `[${good}, ${good}]`, `[${good}`, `${good}]`, '{}']) {
    assert.ok(!agrees(other), other);
  }
  assert.ok(agrees(`[${new Array(1000).fill(good).join()}]`));
  assert.ok(!agrees(`[${new Array(1001).fill(good).join()}]`));
});

test('depth counts alike, wherever it is', () => {
  const max = LIMITS.json_depth_max;
  const nested = (depth: number) => '['.repeat(depth) + ']'.repeat(depth);
  for (const [before, after, depth] of [
    ['{"type":"T","entity":"user/42","data":', '}', max - 1],
    ['[{"type":"T","entity":"user/42","data":', '}]', max - 2],
    ['[{"memory":{"id":"m"},"type":"T","entity":"user/42","data":', '}]', max - 2],
  ] as const) {
    assert.ok(agrees(before + nested(depth) + after));
    assert.ok(!agrees(before + nested(depth + 1) + after));
  }
});

test('sizes count alike', () => {
  const event = (text: string) => `{"type":"T","entity":"user/42","data":"${text}"}`;
  const fits = 'x'.repeat(LIMITS.data_bytes_max - 2);
  assert.ok(agrees(event(fits)));
  assert.ok(!agrees(event(`${fits}x`)));
  assert.ok(!agrees(event('é'.repeat(LIMITS.data_bytes_max / 2))));
});

test('tells the canonical form', () => {
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 5 }), (value) => {
      const json = new PlainJson(JSON.stringify(value));
      try {
        const canonical = json.value(1) || json.text;
        assert.equal(json.at, json.text.length);
        assert.equal(canonical, canonicalize(value));
      } catch (error) {
        if (error !== DOUBT) throw error;
      }
    }),
    { numRuns: 1000 },
  );
});
