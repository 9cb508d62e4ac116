import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatHlc, HybridClock } from '@memplane/clock';
import { MemplaneError } from '@memplane/contracts';
import { LateAppendError, type LogWriter, type NewRecord } from '@memplane/event-log';
import fc from 'fast-check';
import { Appender } from './appender.ts';
import type { PreparedEvent } from './domain/prepare.ts';
import { Stamps } from './domain/stamps.ts';
import { EmbeddedDuplicates } from './drivers/embedded-duplicates.ts';
import { prepareEvent } from './testing.ts';

const CONTEXT = {
  tenant: 'default',
  defaultSource: 'anonymous',
  now: '2026-01-31T09:30:00.000Z',
  traceparent: undefined,
  newId: () => 'made',
};

function event(id: string, entity = 'user/42', data: number | string = 0): PreparedEvent {
  return prepareEvent({ id, type: 'T', entity, data }, CONTEXT, 'body');
}

/** A log that answers when it is told to, and fails when it is told to. */
class SteeredLog {
  readonly info = { logId: '0'.repeat(32), epoch: 0, partitions: 12 };
  readonly highestHlc = 0n;
  readonly appended: NewRecord[] = [];
  readonly #ends = new Array<number>(12).fill(0);
  readonly waiting: { succeed: () => void; fail: () => void }[] = [];
  /** How many of the next appends are refused as late. */
  late = 0;
  auto = true;

  append(records: readonly NewRecord[]): Promise<number[]> {
    const { promise, resolve, reject } = Promise.withResolvers<number[]>();
    if (this.late-- > 0) return Promise.reject(new LateAppendError(500));
    const succeed = () => {
      this.appended.push(...records);
      resolve(
        records.map((record) => {
          const offset = this.#ends[record.partition] ?? 0;
          this.#ends[record.partition] = offset + 1;
          return offset;
        }),
      );
    };
    const fail = () => reject(new MemplaneError('storage_full', 'The disk is full.'));
    if (this.auto) succeed();
    else this.waiting.push({ succeed, fail });
    return promise;
  }
}

function create() {
  const log = new SteeredLog();
  const duplicates = new EmbeddedDuplicates(1000);
  const stamps = new Stamps(new HybridClock({ now: () => 1_790_000_000_000, driftMaxMs: 500 }));
  const appender = new Appender(log as unknown as LogWriter, duplicates, stamps, 2);
  const append = (...events: PreparedEvent[]) =>
    appender.append(events, (i) => (events.length === 1 ? 'body' : `body[${i}]`));
  return { log, appender, append };
}

test('what missed the deadline of the log goes in with a new stamp, so many times', async () => {
  const { log, append } = create();
  await append(event('a'));
  log.late = 2;
  const [b] = await append(event('b'));
  assert.equal(log.appended.length, 2);
  const [first, second] = log.appended;
  assert.ok(first && second && b);
  assert.equal(second.hlc - first.hlc, 3n);
  assert.equal(b.hlc, second.hlc);
  assert.equal(JSON.parse(second.value.toString()).hlc, formatHlc(b.hlc));
  log.late = 3;
  await assert.rejects(append(event('c')), { code: 'storage_unavailable' });
  assert.equal(log.appended.length, 2);
  assert.equal((await append(event('c')))[0]?.duplicate, false);
});

test('what may not go in any more is not stamped, late events neither', async () => {
  const { log, appender } = create();
  let checks = 0;
  const check = () => {
    if (++checks === 2) throw new MemplaneError('no_quorum', 'planned');
  };
  log.late = 1;
  const late = appender.append([event('a')], () => 'body', check);
  await assert.rejects(late, { code: 'no_quorum' });
  assert.deepEqual([checks, log.appended.length, appender.pending], [2, 0, 0]);
});

test('a repetition is answered with the first position, later or in the same request', async () => {
  const { log, append } = create();
  const [a, again, b] = await append(event('a'), event('a'), event('b'));
  assert.deepEqual([a?.duplicate, again?.duplicate, b?.duplicate], [false, true, false]);
  assert.deepEqual(again, { ...a, duplicate: true });
  const [later] = await append(event('a'));
  assert.deepEqual({ ...later }, { ...later, ...a, duplicate: true });
  assert.equal(log.appended.length, 2);
});

test('other content under a used id is refused, and nothing of the request is appended', async () => {
  const { log, appender, append } = create();
  await append(event('a'));
  await assert.rejects(append(event('new'), event('a', 'user/42', 'other')), {
    code: 'id_reused',
    field: 'body[1].id',
  });
  await assert.rejects(append(event('x'), event('x', 'user/42', 'other')), {
    code: 'id_reused',
    field: 'body[1].id',
  });
  assert.equal(log.appended.length, 1);
  assert.equal(appender.pending, 0);
  const [elsewhere] = await append(event('a', 'user/43', 'other'));
  assert.equal(elsewhere?.duplicate, false);
  assert.equal((await append(event('new')))[0]?.duplicate, false);
});

test('a concurrent repetition waits until the first is durable', async () => {
  const { log, append } = create();
  log.auto = false;
  const first = append(event('a'));
  const second = append(event('b'), event('a'));
  let answered = false;
  second.then(() => {
    answered = true;
  });
  await new Promise(setImmediate);
  assert.equal(log.waiting.length, 1, 'nothing of the second is appended while it waits');
  assert.equal(answered, false);
  log.auto = true;
  log.waiting[0]?.succeed();
  const [a] = await first;
  const [b, again] = await second;
  assert.equal(b?.duplicate, false);
  assert.deepEqual({ ...again }, { ...again, ...a, duplicate: true });
});

test('when the first fails, one that waited tries itself', async () => {
  const { log, append } = create();
  log.auto = false;
  const first = append(event('a'));
  const others = [append(event('a')), append(event('a')), append(event('a', 'user/42', 'other'))];
  const settled = Promise.allSettled(others);
  log.waiting[0]?.fail();
  await assert.rejects(first, { code: 'storage_full' });
  log.auto = true;
  while (log.waiting.length < 2) await new Promise(setImmediate);
  log.waiting[1]?.succeed();
  const [second, third, other] = await settled;
  assert.equal(second?.status === 'fulfilled' && second.value[0]?.duplicate, false);
  assert.equal(third?.status === 'fulfilled' && third.value[0]?.duplicate, true);
  assert.equal(other?.status === 'rejected' && other.reason.code, 'id_reused');
  assert.equal(log.appended.length, 1);
});

test('whatever overlaps and fails, each identity is appended once, and stamps rise', async () => {
  const requests = fc.array(fc.array(fc.nat({ max: 8 }), { minLength: 1, maxLength: 5 }), {
    minLength: 1,
    maxLength: 12,
  });
  await fc.assert(
    fc.asyncProperty(requests, fc.infiniteStream(fc.boolean()), async (batches, fates) => {
      const { log, appender, append } = create();
      log.auto = false;
      const sent = batches.map((ids) => append(...ids.map((n) => event(`e${n}`, `user/${n % 3}`))));
      const all = Promise.allSettled(sent);
      let ended = false;
      all.then(() => {
        ended = true;
      });
      for (let next = 0; !ended; ) {
        const one = log.waiting[next];
        if (one) {
          next++;
          if (fates.next().value) one.succeed();
          else one.fail();
        }
        await new Promise(setImmediate);
      }
      const results = await all;
      const names = log.appended.map((r) => Buffer.from(r.idDigest).toString('hex'));
      assert.equal(new Set(names).size, names.length, 'nothing twice');
      const places = new Map<number, string>();
      for (const [i, result] of results.entries()) {
        if (result.status === 'rejected') continue;
        for (const [j, { partition, offset }] of result.value.entries()) {
          const n = batches[i]?.[j] ?? -1;
          assert.equal(places.get(n) ?? `${partition}/${offset}`, `${partition}/${offset}`);
          places.set(n, `${partition}/${offset}`);
        }
      }
      assert.equal(places.size, names.length, 'what is stored was acknowledged, and the other way');
      for (let i = 1; i < log.appended.length; i++) {
        assert.ok((log.appended[i]?.hlc ?? 0n) > (log.appended[i - 1]?.hlc ?? 0n));
      }
      assert.equal(appender.pending, 0);
    }),
    { numRuns: 60 },
  );
});
