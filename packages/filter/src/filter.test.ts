import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Json, LIMITS, MemplaneError } from '@memplane/contracts';
import fc from 'fast-check';
import { compileFilter, FILTER_LIMITS, type IndexPlan, parseFilter, planFilter } from './index.ts';

const matches = (filter: Json, document: Json) =>
  compileFilter(parseFilter(filter, { field: 'body.filter' }))(document);

// --- A second evaluator, written apart from the first: it works on the filter's JSON itself, lists
// every value of a path, and compares by canonical texts.

const MISSING = Symbol('missing');
type Found = Json | typeof MISSING;
const isObject = (v: Found): v is { [key: string]: Json } =>
  typeof v === 'object' && v !== null && !Array.isArray(v);

function valuesOf(value: Found, path: string[]): Found[] {
  const [head, ...rest] = path;
  if (head === undefined) return Array.isArray(value) ? [...value, value] : [value];
  if (isObject(value)) {
    const found = Object.entries(value).find(([key]) => key === head);
    return found === undefined ? [MISSING] : within(found[1], rest);
  }
  return [MISSING];
}

function within(value: Json, path: string[]): Found[] {
  if (!Array.isArray(value) || path.length === 0) return valuesOf(value, path);
  return value.flatMap((item, index) => {
    const found: Found[] = isObject(item) ? valuesOf(item, path) : [];
    if (path[0] !== `${index}`) return found;
    if (path.length === 1) return [...found, item];
    const rest = path.slice(1);
    if (Array.isArray(item)) return [...found, ...within(item, rest)];
    return isObject(item) ? [...found, ...valuesOf(item, rest)] : found;
  });
}

const typeNames = ['null', 'number', 'string', 'object', 'array', 'boolean'];
const typeName = (v: Json) => (v === null ? 'null' : Array.isArray(v) ? 'array' : typeof v);

function canonical(v: Json): string {
  if (Array.isArray(v)) return `[${v.map(canonical).join()}]`;
  if (!isObject(v)) return JSON.stringify(v === 0 ? 0 : v);
  const members = Object.keys(v).sort();
  return `{${members.map((key) => `${JSON.stringify(key)}:${canonical(v[key] as Json)}`).join()}}`;
}

function order(a: Json, b: Json): number {
  const types = typeNames.indexOf(typeName(a)) - typeNames.indexOf(typeName(b));
  if (types !== 0 || a === null || b === null) return Math.sign(types);
  if (typeof a === 'string') return Buffer.compare(Buffer.from(a), Buffer.from(b as string));
  if (typeof a !== 'object') return a > (b as typeof a) ? 1 : a < (b as typeof a) ? -1 : 0;
  const flat = (v: object): Json[][] =>
    Array.isArray(v)
      ? v.map((item) => [typeNames.indexOf(typeName(item)), item])
      : Object.entries(v as { [key: string]: Json })
          .sort(([x], [y]) => Buffer.compare(Buffer.from(x), Buffer.from(y)))
          .map(([key, item]) => [typeNames.indexOf(typeName(item)), key, item]);
  const x = flat(a).flat();
  const y = flat(b as object).flat();
  for (let i = 0; i < Math.min(x.length, y.length); i++) {
    const o = order(x[i] as Json, y[i] as Json);
    if (o !== 0) return o;
  }
  return x.length - y.length;
}

function naive(filter: { [key: string]: Json }, document: Json): boolean {
  return Object.entries(filter).every(([key, condition]) => {
    const parts = condition as { [key: string]: Json }[];
    if (key === '$and') return parts.every((part) => naive(part, document));
    if (key === '$or') return parts.some((part) => naive(part, document));
    if (key === '$not') return !naive(condition as { [key: string]: Json }, document);
    const found = valuesOf(document, key.split('.'));
    if (isObject(condition) && Object.keys(condition)[0]?.startsWith('$')) {
      return naiveOperators(condition, found);
    }
    return found.some((value) => naiveEquals(value, condition));
  });
}

function naiveOperators(operators: { [key: string]: Json }, found: Found[]): boolean {
  return Object.entries(operators).every(([name, operand]) => {
    const inRange = (wanted: (o: number) => boolean, orEqual: boolean) =>
      found.some((value) => {
        if (operand === null) return orEqual && (value === null || value === MISSING);
        if (value === MISSING || typeName(value) !== typeName(operand)) return false;
        return wanted(order(value, operand));
      });
    if (name === '$eq') return found.some((value) => naiveEquals(value, operand));
    if (name === '$ne') return !found.some((value) => naiveEquals(value, operand));
    if (name === '$in') {
      return found.some((value) => (operand as Json[]).some((one) => naiveEquals(value, one)));
    }
    if (name === '$exists') return found.some((value) => value !== MISSING) === operand;
    if (name === '$not') return !naiveOperators(operand as { [key: string]: Json }, found);
    if (name === '$gt') return inRange((o) => o > 0, false);
    if (name === '$gte') return inRange((o) => o >= 0, true);
    if (name === '$lt') return inRange((o) => o < 0, false);
    return inRange((o) => o <= 0, true);
  });
}

function naiveEquals(value: Found, wanted: Json): boolean {
  if (value === MISSING) return wanted === null;
  return canonical(value) === canonical(wanted);
}

// --- Generators: few names and values, so that paths and values meet.

const name = fc.constantFrom('a', 'b', '0', '1');
const scalar: fc.Arbitrary<Json> = fc.constantFrom<Json[]>(
  ...[null, true, false, 0, 1, 2, -0, 1.5, '', 'a', 'b', 'ab', '\uffff', '\u{1f600}'],
);
const { value: json } = fc.letrec<{ value: Json }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    { arbitrary: scalar, weight: 3 },
    { arbitrary: fc.array(tie('value'), { maxLength: 3 }), weight: 2 },
    {
      arbitrary: fc.dictionary(name, tie('value'), { maxKeys: 2, noNullPrototype: true }),
      weight: 2,
    },
  ),
}));
const documents = fc.dictionary(name, json, { maxKeys: 3, noNullPrototype: true });
const path = fc.array(name, { minLength: 1, maxLength: 3 }).map((parts) => parts.join('.'));

const { operators, filter } = fc.letrec<{
  operators: { [key: string]: Json };
  filter: { [key: string]: Json };
}>((tie) => ({
  operators: fc.oneof(
    { maxDepth: 2 },
    fc.dictionary(fc.constantFrom('$eq', '$ne', '$gt', '$gte', '$lt', '$lte'), json, {
      minKeys: 1,
      maxKeys: 2,
      noNullPrototype: true,
    }),
    fc.record({ $in: fc.array(json, { maxLength: 3 }) }, { noNullPrototype: true }),
    fc.record({ $exists: fc.boolean() }, { noNullPrototype: true }),
    fc.record({ $not: tie('operators') }, { noNullPrototype: true }),
  ),
  filter: fc.oneof(
    { maxDepth: 2 },
    fc.dictionary(path, fc.oneof(json, tie('operators')), { maxKeys: 2, noNullPrototype: true }),
    fc.record({ $and: fc.array(tie('filter'), { minLength: 1, maxLength: 2 }) }),
    fc.record({ $or: fc.array(tie('filter'), { minLength: 1, maxLength: 2 }) }),
    fc.record({ $not: tie('filter') }),
  ),
}));

test('the compiled filter agrees with the naive evaluator', () => {
  let hits = 0;
  const runs = Number(process.env['MEMPLANE_PROPERTY_RUNS'] ?? 5_000);
  fc.assert(
    fc.property(filter, documents, (condition, document) => {
      const expected = naive(condition, document);
      if (expected) hits++;
      assert.equal(matches(condition, document), expected);
    }),
    { numRuns: runs },
  );
  assert.ok(hits > runs / 20 && hits < (runs * 19) / 20, `${hits} of ${runs} matched`);
});

test('$ne and $not are complements', () => {
  fc.assert(
    fc.property(path, json, operators, documents, (at, value, ops, document) => {
      assert.equal(
        matches({ [at]: { $ne: value } }, document),
        !matches({ [at]: { $eq: value } }, document),
      );
      assert.equal(matches({ [at]: { $not: ops } }, document), !matches({ [at]: ops }, document));
    }),
  );
});

test('an index with one entry for each value of each path misses no match', () => {
  const meets = (plan: IndexPlan, document: Json): boolean => {
    if (plan.kind === 'scan') return true;
    if (plan.kind === 'and') return plan.of.every((part) => meets(part, document));
    if (plan.kind === 'or') return plan.of.some((part) => meets(part, document));
    const entries = valuesOf(document, plan.path.split('.'));
    const op = plan.op === 'in' ? '$in' : `$${plan.op}`;
    const operand = plan.op === 'in' ? [...plan.values] : (plan.values[0] as Json);
    return naiveOperators({ [op]: operand }, entries);
  };
  let planned = 0;
  fc.assert(
    fc.property(filter, documents, (condition, document) => {
      const plan = planFilter(parseFilter(condition, { field: 'f' }));
      if (plan.kind !== 'scan') planned++;
      if (matches(condition, document)) assert.ok(meets(plan, document));
    }),
    { numRuns: 2_000 },
  );
  assert.ok(planned > 50);
});

test("MongoDB's documented cases", () => {
  const cases: [Json, Json, boolean][] = [
    [{ a: null }, {}, true],
    [{ a: null }, { a: null }, true],
    [{ a: { $exists: true } }, { a: null }, true],
    [{ a: { $ne: 1 } }, {}, true],
    [{ a: { $gt: 1 } }, {}, false],
    [{ a: { $lt: 'b' } }, { a: 1 }, false],
    [{ a: { $gte: null } }, {}, true],
    [{ a: { $not: { $gt: 1 } } }, { a: 'text' }, true],
    [{ tags: 'x' }, { tags: ['y', 'x'] }, true],
    [{ tags: ['y', 'x'] }, { tags: ['y', 'x'] }, true],
    [{ tags: ['x', 'y'] }, { tags: ['y', 'x'] }, false],
    [{ tags: ['x'] }, { tags: [['x']] }, true],
    [{ tags: { $ne: 'x' } }, { tags: ['y', 'x'] }, false],
    [{ n: { $gt: 5, $lt: 3 } }, { n: [1, 9] }, true],
    [{ 'a.b': 1 }, { a: [{ b: 2 }, { b: 1 }] }, true],
    [{ 'a.0.b': 2 }, { a: [{ b: 2 }, { b: 1 }] }, true],
    [{ 'a.1': 7 }, { a: [1, 7] }, true],
    [{ 'a.b': null }, { a: [] }, false],
    [{ 'a.b': null }, { a: [{ b: 2 }, {}] }, true],
    [{ 'a.b': { $exists: false } }, { a: [] }, true],
    [{ 'a.b': null }, { a: 5 }, true],
    [{ a: { b: 1 } }, { a: { b: 1, c: 2 } }, false],
    [{ a: { $in: [] } }, { a: 1 }, false],
    [{ a: { $in: [1, null] } }, {}, true],
    [{ 'a.b': 1 }, { 'a.b': 1 }, false],
    [{}, {}, true],
    [{ a: { $gt: true } }, { a: 2 }, false],
    [{ a: { $gt: '\uffff' } }, { a: '\u{1f600}' }, true],
  ];
  for (const [condition, document, expected] of cases) {
    const shown = `${JSON.stringify(condition)} on ${JSON.stringify(document)}`;
    assert.equal(matches(condition, document), expected, shown);
  }
});

test('what is no filter is refused with its place', () => {
  const deep = (levels: number): Json => (levels === 0 ? { a: 1 } : { $and: [deep(levels - 1)] });
  const cases: [Json, string][] = [
    [[], 'f'],
    ['x', 'f'],
    [null, 'f'],
    [{ $where: '1' }, 'f.$where'],
    [{ $and: [] }, 'f.$and'],
    [{ $and: [{ a: 1 }, 3] }, 'f.$and[1]'],
    [{ $or: { a: 1 } }, 'f.$or'],
    [{ a: { $regex: 'x' } }, 'f.a.$regex'],
    [{ a: { b: 1, $gt: 2 } }, 'f.a.b'],
    [{ a: { $in: 3 } }, 'f.a.$in'],
    [{ a: { $exists: 1 } }, 'f.a.$exists'],
    [{ a: { $not: 3 } }, 'f.a.$not'],
    [{ a: { $not: {} } }, 'f.a.$not'],
    [{ a: { $not: { $foo: 1 } } }, 'f.a.$not.$foo'],
    [{ $or: [{ 'a.b': { $in: new Array(2000).fill(1) } }] }, 'f.$or[0].a.b.$in'],
    [{ 'a\u0000': 1 }, 'f.a\u0000'],
    [{ [new Array(40).fill('a').join('.')]: 1 }, `f.${new Array(40).fill('a').join('.')}`],
    [deep(FILTER_LIMITS.filter_depth_max + 1), `f${'.$and[0]'.repeat(17)}`],
  ];
  for (const [condition, field] of cases) {
    assert.throws(
      () => parseFilter(condition, { field: 'f' }),
      (error) =>
        error instanceof MemplaneError && error.code === 'invalid_filter' && error.field === field,
      JSON.stringify(condition)?.slice(0, 100),
    );
  }
  const many = Object.fromEntries(
    Array.from({ length: LIMITS.filter_nodes_max }, (_, i) => [`k${i}`, 1]),
  );
  assert.throws(() => parseFilter(many, { field: 'f' }), MemplaneError);
  let nested: Json = { $gt: 1 };
  for (let i = 0; i < 10_000; i++) nested = { $not: nested };
  assert.throws(() => parseFilter({ a: nested }, { field: 'f' }), MemplaneError);
});

test('names of the prototype are names like any other', () => {
  const own = JSON.parse('{"__proto__": {"polluted": 1}, "constructor": 2}') as Json;
  assert.equal(matches(JSON.parse('{"__proto__.polluted": 1}') as Json, own), true);
  assert.equal(matches({ constructor: 2 }, own), true);
  for (const at of ['__proto__', 'constructor', 'toString', 'a.__proto__.polluted']) {
    const condition = JSON.parse(`{${JSON.stringify(at)}: {"$exists": true}}`) as Json;
    assert.equal(matches(condition, { a: {} }), false);
  }
  assert.equal(({} as { polluted?: number }).polluted, undefined);
});
