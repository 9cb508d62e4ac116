import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseZoneFile, ZoneFileError } from './zone-file.ts';
import { ZoneTable } from './zone-table.ts';

test('a file of zones is read in either of the forms of YAML', () => {
  const rules = [
    { match: 'session/*', consistency: 'strong' },
    { match: 'order/test-*', consistency: 'eventual' },
  ];
  const flow =
    'zones: [{match: "session/*", consistency: strong}, {match: order/test-*, consistency: eventual}]';
  assert.deepEqual(parseZoneFile(flow), rules);
  assert.deepEqual(parseZoneFile(JSON.stringify({ zones: rules })), rules);
  assert.deepEqual(parseZoneFile('# none\nzones: []\n'), []);
});

test('what is wrong is named by its line and field', () => {
  const cases: readonly [string, RegExp][] = [
    ['', /^line 1: the file must be a map/],
    ['[]', /^line 1: the file must be a map/],
    ['zones: 1', /^line 1: zones must be a list/],
    ['other: 1', /^line 1: the file has no member "other"/],
    ['zones:\n  - strong', /^line 2: zones\[0\] must be \{match, consistency\}/],
    ['zones:\n  - {match: "a/*"}', /^line 2: zones\[0\]\.consistency is missing/],
    ['zones:\n  - {match: "a/*", consistency: weak}', /^line 2: zones\[0\]\.consistency must be/],
    ['zones:\n  - {match: 5, consistency: strong}', /^line 2: zones\[0\]\.match must be a text/],
    [
      'zones:\n  - {match: "a/*", consistency: strong}\n  - {match: "a", consistency: strong}',
      /^line 3: zones\[1\]\.match must be kind\/id/,
    ],
    ['zones:\n  - {match: "a/b/c", consistency: strong}', /^line 2: zones\[0\]\.match/],
    [
      'zones:\n  - {match: "a/*", consistency: strong, x: 1}',
      /^line 2: zones\[0\] has no member "x"/,
    ],
    ['zones: [\n  {match: "a/*"', /^line \d: /],
    ['zones:\n  - &a {match: "a/*", consistency: strong}\n  - *a', /^line 3: zones\[1\] must be/],
    [`# ${'x'.repeat(300_000)}`, /^line 1: the file may have/],
    [
      `zones: [${'{match: "a/*", consistency: strong},'.repeat(1_001)}]`,
      /^line 1: zones may have 1000 rules/,
    ],
  ];
  for (const [text, words] of cases) {
    assert.throws(
      () => parseZoneFile(text),
      (error) => error instanceof ZoneFileError && words.test(error.message),
      text.slice(0, 80),
    );
  }
});

test('the first rule that matches counts; what none matches is eventual', () => {
  const table = new ZoneTable([
    { match: 'session/test-*', consistency: 'eventual' },
    { match: 'session/*', consistency: 'strong' },
    { match: '*/v1.0', consistency: 'strong' },
    { match: 'a*c/x', consistency: 'strong' },
  ]);
  const zones = {
    'session/1': 'strong',
    'session/test-1': 'eventual',
    'session/test': 'strong',
    'user/v1.0': 'strong',
    'user/v1x0': 'eventual',
    'abc/x': 'strong',
    'abcd/x': 'eventual',
    'Session/1': 'eventual',
  };
  for (let round = 0; round < 2; round++) {
    for (const [entity, zone] of Object.entries(zones)) {
      assert.equal(table.zoneOf(entity), zone, entity);
    }
  }
  assert.equal(table.ruleOf('session/1')?.match, 'session/*');
  assert.equal(table.ruleOf('user/1'), undefined);
  assert.equal(new ZoneTable([]).zoneOf('session/1'), 'eventual');
});
