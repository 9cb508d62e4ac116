import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, it } from 'node:test';
import type { StrongStore, WriteOutcome } from '@memplane/runtime/strong';
import { checkForgetting } from './forget-contract.ts';

/** One driver under test; `another` is a second instance on the same data, where there may be one. */
export interface StrongUnderTest {
  readonly store: StrongStore;
  readonly another?: StrongStore;
  dispose(): Promise<void>;
}

const keyOf = (name: string) => `default.test.${name}.${randomUUID()}`;

function versionOf(outcome: WriteOutcome): string {
  assert.deepEqual({ ...outcome, version: '' }, { kind: 'written', version: '' });
  return outcome.kind === 'written' ? outcome.version : '';
}

type Check = (what: string, work: (made: StrongUnderTest) => Promise<void>) => void;

/** What every driver of {@link StrongStore} must do. */
export function describeStrongContract(name: string, create: () => Promise<StrongUnderTest>): void {
  const check: Check = (what, work) => {
    it(what, async () => {
      const made = await create();
      try {
        await work(made);
      } finally {
        await made.dispose();
      }
    });
  };
  describe(`strong store: ${name}`, () => {
    describeKeys(check);
    describeWriters(check);
    check('a head forgets what was before an erasure', ({ store }) => checkForgetting(store));
  });
}

function describeKeys(check: Check): void {
  check('a key is made, read, replaced and removed by its version', async ({ store }) => {
    const key = keyOf('life');
    assert.equal(await store.get(key), undefined);
    const first = versionOf(await store.create(key, 'ü "1"\n\0'));
    assert.deepEqual(await store.get(key), { value: 'ü "1"\n\0', version: first });
    assert.equal((await store.create(key, 'other')).kind, 'conflict');
    const second = versionOf(await store.compareAndSet(key, '2', first));
    assert.notEqual(second, first);
    assert.equal((await store.compareAndSet(key, '3', first)).kind, 'conflict');
    assert.equal((await store.delete(key, first)).kind, 'conflict');
    assert.deepEqual(await store.get(key), { value: '2', version: second });
    assert.equal((await store.delete(key, second)).kind, 'written');
    assert.equal(await store.get(key), undefined);
    assert.equal((await store.compareAndSet(key, '3', second)).kind, 'conflict');
    const again = versionOf(await store.create(key, '4'));
    assert.ok(again !== first && again !== second, 'a version comes only once');
  });

  check('large texts come back as they are', async ({ store }) => {
    const key = keyOf('large');
    const text = JSON.stringify({ events: Array.from({ length: 22_000 }, () => randomUUID()) });
    assert.ok(text.length > 768 * 1024);
    const version = versionOf(await store.create(key, text));
    assert.equal((await store.get(key))?.value, text);
    versionOf(await store.compareAndSet(key, 'small', version));
    assert.equal((await store.get(key))?.value, 'small');
  });
}

function describeWriters(check: Check): void {
  check('of many that make one key, one has made it', async ({ store, another = store }) => {
    for (let round = 0; round < 5; round++) {
      const key = keyOf('create');
      const outcomes = await Promise.all(
        Array.from({ length: 8 }, (_, i) => (i % 2 ? store : another).create(key, `by ${i}`)),
      );
      const by = outcomes.flatMap(({ kind }, i) => (kind === 'written' ? [i] : []));
      const kept = await store.get(key);
      assert.ok(by.length <= 1, `${by} all made it`);
      for (const i of by) assert.equal(kept?.value, `by ${i}`);
      assert.match(kept?.value ?? '', /^by \d$/);
    }
  });

  check('counting by compare-and-set loses nothing', async ({ store, another = store }) => {
    const key = keyOf('count');
    versionOf(await store.create(key, '[]'));
    const [writers, times] = [6, 10];
    const told: string[] = [];
    await Promise.all(
      Array.from({ length: writers }, async (_, writer) => {
        const mine = writer % 2 ? store : another;
        for (let i = 0; i < times; ) {
          const now = await mine.get(key);
          const marks = JSON.parse(now?.value ?? '[]') as string[];
          const mark = `${writer}.${i}`;
          if (marks.includes(mark)) {
            told.push(mark); // an unknown one that was written
            i++;
            continue;
          }
          const next = JSON.stringify([...marks, mark]);
          const { kind } = await mine.compareAndSet(key, next, now?.version ?? '');
          if (kind !== 'written') continue;
          told.push(mark);
          i++;
        }
      }),
    );
    const marks = JSON.parse((await store.get(key))?.value ?? '[]') as string[];
    assert.equal(marks.length, writers * times);
    assert.deepEqual(marks.toSorted(), told.toSorted());
  });

  check('keys do not wait for each other, nor touch each other', async ({ store }) => {
    const keys = Array.from({ length: 40 }, (_, i) => keyOf(`k${i}`));
    await Promise.all(keys.map((key, i) => store.create(key, String(i))));
    const found = await Promise.all(keys.map((key) => store.get(key)));
    assert.deepEqual(
      found.map((one) => one?.value),
      keys.map((_, i) => String(i)),
    );
  });
}
