import type { Json } from '@memplane/contracts';
import fc from 'fast-check';

export type Metadata = { [key: string]: Json };

const names = fc.constantFrom('a', 'b', 'c', '0', 'a.b');
const scalars: fc.Arbitrary<Json> = fc.oneof(
  fc.constantFrom<Json>(null, true, false, 0, -0, 1, 2.5, -3, 1e300, 2 ** 53 + 2),
  fc.constantFrom<Json>('', 'x', 'y', 'é', '\u{1f600}', '\ud800', '\uffff', 'z'.repeat(300)),
);
const values: fc.Arbitrary<Json> = fc.letrec<{ value: Json }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 3, depthSize: 'small' },
    scalars,
    fc.array(tie('value'), { maxLength: 3 }),
    fc.dictionary(names, tie('value'), { maxKeys: 3, noNullPrototype: true }),
  ),
})).value;
/** Metadata of a row, with all that JSON may hold. */
export const metadata = fc.dictionary(names, values, { maxKeys: 4, noNullPrototype: true });
const paths = fc.constantFrom('a', 'b', 'a.b', 'a.0', 'a.b.c', 'a.0.b', 'b.a', 'c');
const condition = fc.oneof(
  values.filter((value) => !JSON.stringify(value).includes('"$')),
  fc
    .record({ op: fc.constantFrom('$eq', '$ne', '$gt', '$gte', '$lt', '$lte'), value: values })
    .map(({ op, value }) => ({ [op]: value }) as Json),
  fc.array(values, { minLength: 1, maxLength: 3 }).map((list) => ({ $in: list }) as Json),
  fc.boolean().map((flag) => ({ $exists: flag }) as Json),
);
/** Filters that meet such metadata often enough. */
export const filters: fc.Arbitrary<Metadata> = fc.letrec<{ filter: Metadata }>((tie) => ({
  filter: fc.oneof(
    { maxDepth: 2, depthSize: 'small' },
    fc.tuple(paths, condition).map(([path, value]) => ({ [path]: value })),
    fc
      .tuple(
        fc.constantFrom('$and', '$or'),
        fc.array(tie('filter'), { minLength: 1, maxLength: 2 }),
      )
      .map(([op, of]) => ({ [op]: of as Json })),
    tie('filter').map((of) => ({ $not: of as Json })),
  ),
})).filter;
