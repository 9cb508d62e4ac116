import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, it } from 'node:test';
import type { DuplicateRecord, FirstAppend } from '../domain/duplicate-record.ts';
import { CONTENT_KEY_CHARS, DIGEST_CHARS } from '../domain/prepare.ts';

/** One driver under test; `another` is a second instance on the same record, where there may be one. */
export interface DuplicatesUnderTest {
  readonly record: DuplicateRecord;
  readonly another?: DuplicateRecord;
  /** Resolves when what was remembered can be found by all. */
  settled(): Promise<void>;
  dispose(): Promise<void>;
}

const idKey = () => randomBytes(16).toString('latin1');

type Append = FirstAppend & { readonly digest: string };

function append(offset: number): Append {
  const digest = randomBytes(32).toString('base64url');
  assert.equal(digest.length, DIGEST_CHARS);
  const hlc = (BigInt(Date.now()) << 16n) | BigInt(offset % 65_536);
  return {
    partition: offset % 12,
    offset,
    hlc,
    contentKey: digest.slice(0, CONTENT_KEY_CHARS),
    digest,
  };
}

/** What a record tells of an append. */
const told = ({ partition, offset, hlc, contentKey }: FirstAppend): FirstAppend => ({
  partition,
  offset,
  hlc,
  contentKey,
});

/** What every driver of {@link DuplicateRecord} must do. */
export function describeDuplicatesContract(
  name: string,
  create: (idsMax: number) => Promise<DuplicatesUnderTest>,
): void {
  const check = (
    what: string,
    work: (made: DuplicatesUnderTest) => Promise<void>,
    idsMax = 1_000,
  ) =>
    it(what, async () => {
      const made = await create(idsMax);
      try {
        await work(made);
      } finally {
        await made.dispose();
      }
    });
  describe(`record of recent ids: ${name}`, () => {
    check('an identity is found with its first append, byte for byte', async (made) => {
      const keys = Array.from({ length: 600 }, idKey);
      const appends = keys.map((_, i) => append(i * 7_000_000_001));
      assert.deepEqual(
        await made.record.find(keys),
        keys.map(() => undefined),
      );
      for (const [i, key] of keys.entries()) made.record.remember(key, appends[i] as Append);
      await made.settled();
      for (const record of [made.record, made.another ?? made.record]) {
        assert.deepEqual(await record.find(keys), appends.map(told));
        const mixed = await record.find(keys.slice(3, 5).flatMap((key) => [idKey(), key]));
        const expected = appends.slice(3, 5).flatMap((first) => [undefined, told(first)]);
        assert.deepEqual(mixed, expected);
      }
      assert.equal(made.record.size, 600);
    });

    check('what is shared is found by another instance at once', async (made) => {
      for (let i = 0; i < 20; i++) {
        const key = idKey();
        made.record.remember(key, append(i));
        await made.record.shared();
        const [found] = await (made.another ?? made.record).find([key]);
        assert.equal(found?.offset, i);
      }
      assert.equal(made.record.shared(), undefined);
    });

    check(
      'what was forgotten before it was written, and remembered again, is shared too',
      async (made) => {
        const [first, second] = [idKey(), idKey()];
        for (const [i, key] of [first, second, first].entries())
          made.record.remember(key, append(i));
        await made.record.shared();
        assert.equal(made.record.shared(), undefined);
      },
      1,
    );

    check('an identity that is there keeps its first place', async (made) => {
      const key = idKey();
      const first = append(1);
      made.record.remember(key, first);
      made.record.remember(key, append(2));
      assert.deepEqual(await made.record.find([key]), [told(first)]);
    });

    check('identities may hold any bytes', async (made) => {
      const keys = ['\0'.repeat(16), '\xff'.repeat(16), `${' |/?#%'.repeat(3).slice(0, 16)}`];
      for (const [i, key] of keys.entries()) made.record.remember(key, append(i));
      await made.settled();
      const found = await (made.another ?? made.record).find(keys);
      assert.deepEqual(
        found.map((first) => first?.offset),
        [0, 1, 2],
      );
    });

    check('asking from many places at once gives each its own', async (made) => {
      const keys = Array.from({ length: 40 }, idKey);
      for (const [i, key] of keys.entries()) made.record.remember(key, append(i));
      await made.settled();
      const record = made.another ?? made.record;
      const found = await Promise.all(keys.map((key) => record.find([idKey(), key])));
      assert.deepEqual(
        found.map(([unknown, first]) => [unknown, first?.offset]),
        keys.map((_, i) => [undefined, i]),
      );
    });

    check(
      'memory is bounded: the oldest are forgotten there',
      async (made) => {
        for (let i = 0; i < 50; i++) made.record.remember(idKey(), append(i));
        assert.equal(made.record.size, 8);
      },
      8,
    );
  });
}
