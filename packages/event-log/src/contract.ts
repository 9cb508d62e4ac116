import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { follow } from './follow.ts';
import type { LogAdmin, LogReader, LogRecord, LogWriter, NewRecord } from './port.ts';
import type { RecentBatch } from './recent-batch.ts';

/** A log under test. Readers of one log may be opened while its writer is at work. */
export interface LogUnderTest {
  readonly writer: LogWriter;
  readonly admin: LogAdmin;
  openReader(): Promise<LogReader>;
  /** Ends the writer and opens the same log again, as a restart of the process would. */
  reopen(): Promise<LogUnderTest>;
  /** Ends the writer and removes the log. */
  dispose(): Promise<void>;
}

export interface LogContractOptions {
  /** Makes a new, empty log with this many partitions. */
  readonly create: (partitions: number) => Promise<LogUnderTest>;
  /** Cases of the property tests; each of them makes a log. */
  readonly runs?: number;
}

const DEADLINE_MS = 10_000;
const READ_ALL = { maxBytes: 64 * 1024 * 1024 };
const PARTITIONS = 3;

/** Distinct bytes that a number stands for. */
export function digestOf(n: number, salt = 0): Buffer {
  const digest = Buffer.alloc(16, salt);
  digest.writeUInt32LE(n >>> 0, 0);
  return digest;
}

export function newRecord(partition: number, n: number, value: string | Buffer): NewRecord {
  return {
    partition,
    key: `user/${n}`,
    value: Buffer.from(value),
    hlc: (1_790_000_000_000n << 16n) + BigInt(n),
    idDigest: digestOf(n, 1),
    contentDigest: digestOf(n, 2),
  };
}

function sameRecord(actual: LogRecord | undefined, expected: NewRecord, offset: number): void {
  assert.ok(actual, `offset ${offset} is there`);
  assert.equal(actual.partition, expected.partition);
  assert.equal(actual.offset, offset);
  assert.equal(actual.key, expected.key);
  assert.equal(actual.hlc, expected.hlc);
  assert.ok(actual.value.equals(expected.value), `the value of offset ${offset}`);
}

async function readAll(reader: LogReader, partition: number, from = 0): Promise<LogRecord[]> {
  const all: LogRecord[] = [];
  for (let next = from; ; ) {
    const records = await reader.read(partition, next, READ_ALL);
    if (records.length === 0) return all;
    all.push(...records);
    next += records.length;
  }
}

async function untilEnd(reader: LogReader, partition: number, end: number): Promise<void> {
  await reader.waitBeyond(new Map([[partition, end - 1]]), AbortSignal.timeout(DEADLINE_MS));
}

async function using(
  options: LogContractOptions,
  partitions: number,
  use: (log: LogUnderTest) => Promise<LogUnderTest | undefined>,
): Promise<void> {
  const first = await options.create(partitions);
  let last = first;
  try {
    last = (await use(first)) ?? first;
  } finally {
    await last.dispose();
  }
}

/**
 * The cases that every driver of the log must pass. The embedded driver and Kafka's run the same.
 * @param name the driver's name, for the report
 */
export function describeLogContract(name: string, options: LogContractOptions): void {
  describe(`the log's contract: ${name}`, () => {
    appendCases(options);
    endCases(options);
    readCases(options);
    waitCases(options);
    startCases(options);
    timeCases(options);
    recentCases(options);
    modelCase(options);
  });
}

function appendCases(options: LogContractOptions): void {
  test('a new log is empty and says what it is', () =>
    using(options, PARTITIONS, async ({ writer, openReader }) => {
      const reader = await openReader();
      assert.equal(writer.info.partitions, PARTITIONS);
      assert.deepEqual(reader.info, writer.info);
      assert.match(writer.info.logId, /^[0-9a-f-]{36}$/);
      assert.equal(writer.highestHlc, 0n);
      for (let p = 0; p < PARTITIONS; p++) {
        assert.deepEqual(await writer.bounds(p), { start: 0, end: 0 });
        assert.deepEqual(await reader.read(p, 0, READ_ALL), []);
      }
      await reader.close();
      return undefined;
    }));

  test('offsets count up per partition, in the order of the call', () =>
    using(options, PARTITIONS, async ({ writer, openReader }) => {
      const batch = [0, 1, 0, 2, 0, 1].map((p, i) => newRecord(p, i, `value ${i}`));
      assert.deepEqual(await writer.append(batch), [0, 0, 1, 0, 2, 1]);
      assert.deepEqual(await writer.append([]), []);
      assert.deepEqual(await writer.append([newRecord(0, 9, '')]), [3]);
      const reader = await openReader();
      await untilEnd(reader, 0, 4);
      const records = await readAll(reader, 0);
      assert.deepEqual(
        records.map((record) => record.value.toString()),
        ['value 0', 'value 2', 'value 4', ''],
      );
      assert.deepEqual(await writer.bounds(0), { start: 0, end: 4 });
      assert.equal(writer.highestHlc, newRecord(0, 9, '').hlc);
      await reader.close();
      return undefined;
    }));

  test('the caller may use the memory of a value again at once', () =>
    using(options, 1, async ({ writer, openReader }) => {
      const value = Buffer.from('as appended');
      const appended = writer.append([{ ...newRecord(0, 1, ''), value }]);
      value.fill(0);
      await appended;
      const reader = await openReader();
      await untilEnd(reader, 0, 1);
      assert.equal((await readAll(reader, 0))[0]?.value.toString(), 'as appended');
      await reader.close();
      return undefined;
    }));

  test('overlapping appends keep the order of their calls and lose nothing', () =>
    using(options, PARTITIONS, async ({ writer, openReader }) => {
      const calls = Array.from({ length: 300 }, (_, n) =>
        writer.append([newRecord(n % PARTITIONS, n, `n ${n}`)]),
      );
      const offsets = (await Promise.all(calls)).flat();
      assert.deepEqual(
        offsets,
        offsets.map((_, n) => Math.floor(n / PARTITIONS)),
      );
      const reader = await openReader();
      for (let p = 0; p < PARTITIONS; p++) {
        await untilEnd(reader, p, 100);
        const records = await readAll(reader, p);
        assert.equal(records.length, 100);
        for (const [i, record] of records.entries()) {
          const n = i * PARTITIONS + p;
          sameRecord(record, newRecord(p, n, `n ${n}`), i);
        }
      }
      await reader.close();
      return undefined;
    }));
}

function endCases(options: LogContractOptions): void {
  test('a partition that is not there is refused, and nothing is appended', () =>
    using(options, PARTITIONS, async ({ writer }) => {
      const batch = [newRecord(0, 1, 'a'), newRecord(PARTITIONS, 2, 'b')];
      await assert.rejects(writer.append(batch), { code: 'invalid_request' });
      assert.deepEqual(await writer.bounds(0), { start: 0, end: 0 });
      assert.deepEqual(await writer.append([newRecord(0, 3, 'c')]), [0]);
      return undefined;
    }));

  test('all is there after a restart, and offsets and stamps go on', () =>
    using(options, PARTITIONS, async (log) => {
      const info = log.writer.info;
      for (let n = 0; n < 20; n++) await log.writer.append([newRecord(n % 2, n, `n ${n}`)]);
      const again = await log.reopen();
      assert.deepEqual(again.writer.info, info);
      assert.equal(again.writer.highestHlc, newRecord(0, 19, '').hlc);
      assert.deepEqual(await again.writer.append([newRecord(0, 20, 'n 20')]), [10]);
      const reader = await again.openReader();
      await untilEnd(reader, 0, 11);
      const records = await readAll(reader, 0);
      for (const [i, record] of records.entries())
        sameRecord(record, newRecord(0, i * 2, `n ${i * 2}`), i);
      assert.equal(records.length, 11);
      await reader.close();
      return again;
    }));

  test('a closed writer refuses', () =>
    using(options, 1, async ({ writer }) => {
      const last = writer.append([newRecord(0, 1, 'before')]);
      await writer.close();
      assert.deepEqual(await last, [0]);
      await assert.rejects(writer.append([newRecord(0, 2, 'after')]), { code: 'shutting_down' });
      return undefined;
    }));
}

function readCases(options: LogContractOptions): void {
  test('what is appended together stands together, whatever else is appended', () =>
    using(options, 1, async ({ writer, openReader }) => {
      const value = Buffer.alloc(700, 'x');
      const batches = await Promise.all(
        Array.from({ length: 20 }, (_, n) =>
          n % 2
            ? writer.append([newRecord(0, n, value)])
            : writer.append(
                Array.from({ length: 5 }, (_, i) => newRecord(0, n * 10 + i, value)),
                { together: true },
              ),
        ),
      );
      for (const offsets of batches) {
        const [first = -1] = offsets;
        assert.deepEqual(
          offsets,
          offsets.map((_, i) => first + i),
        );
      }
      const reader = await openReader();
      await untilEnd(reader, 0, 60);
      assert.equal((await readAll(reader, 0)).length, 60);
      await reader.close();
      return undefined;
    }));

  test('a read is bounded by bytes and by records, and gives at least one', () =>
    using(options, 1, async ({ writer, openReader }) => {
      const value = Buffer.alloc(1000, 'x');
      await writer.append(Array.from({ length: 50 }, (_, n) => newRecord(0, n, value)));
      const reader = await openReader();
      await untilEnd(reader, 0, 50);
      const count = async (from: number, maxBytes: number, maxRecords?: number) =>
        (
          await reader.read(
            0,
            from,
            maxRecords === undefined ? { maxBytes } : { maxBytes, maxRecords },
          )
        ).length;
      assert.equal(await count(0, 1), 1);
      assert.equal(await count(0, 3000), 3);
      assert.equal(await count(0, 3999), 3);
      assert.equal(await count(10, 1_000_000, 7), 7);
      assert.equal(await count(45, 1_000_000), 5);
      assert.equal(await count(50, 1_000_000), 0);
      assert.equal((await reader.read(0, 17, { maxBytes: 1 }))[0]?.offset, 17);
      await reader.close();
      return undefined;
    }));

  test('values from nothing to half a MiB, and keys beyond ASCII, come back as they were', () =>
    using(options, 1, async ({ writer, openReader }) => {
      const values = [0, 1, 511, 512, 513, 4096, 65_536, 512 * 1024].map((size, n) =>
        Buffer.alloc(size, n + 1),
      );
      const batch = values.map((value, n) => ({ ...newRecord(0, n, value), key: `ключ/${n}/🦉` }));
      await writer.append(batch);
      const reader = await openReader();
      await untilEnd(reader, 0, values.length);
      const records = await readAll(reader, 0);
      for (const [n, record] of batch.entries()) sameRecord(records[n], record, n);
      await reader.close();
      return undefined;
    }));
}

function waitCases(options: LogContractOptions): void {
  test('a wait ends with an append, at once when it is past, and with its signal', () =>
    using(options, 2, async ({ writer, openReader }) => {
      const reader = await openReader();
      const signal = AbortSignal.timeout(DEADLINE_MS);
      const waits = Array.from({ length: 20 }, () =>
        reader.waitBeyond(
          new Map([
            [0, 0],
            [1, 0],
          ]),
          signal,
        ),
      );
      await writer.append([newRecord(1, 1, 'a')]);
      await Promise.all(waits);
      assert.equal((await reader.bounds(1)).end, 1);
      await reader.waitBeyond(new Map([[1, 0]]), signal);
      const controller = new AbortController();
      const reason = new Error('enough');
      const wait = reader.waitBeyond(new Map([[1, 1]]), controller.signal);
      controller.abort(reason);
      await assert.rejects(wait, reason);
      await assert.rejects(reader.waitBeyond(new Map([[1, 1]]), controller.signal), reason);
      await reader.close();
      return undefined;
    }));

  test('a follower sees every record once, in order, while appends go on', () =>
    using(options, 1, async ({ writer, openReader }) => {
      const reader = await openReader();
      const controller = new AbortController();
      const seen: number[] = [];
      const following = (async () => {
        for await (const records of follow(reader, 0, 0, controller.signal)) {
          for (const record of records) seen.push(record.offset);
          if (seen.length >= 200) controller.abort();
        }
      })();
      for (let n = 0; n < 100; n++)
        await writer.append([newRecord(0, n, 'x'), newRecord(0, n, 'y')]);
      await following;
      assert.deepEqual(
        seen,
        Array.from({ length: 200 }, (_, i) => i),
      );
      await reader.close();
      return undefined;
    }));
}

function startCases(options: LogContractOptions): void {
  test('the start moves on, never back, and survives a restart', () =>
    using(options, 2, async (log) => {
      const { writer, admin } = log;
      await writer.append(Array.from({ length: 10 }, (_, n) => newRecord(0, n, `n ${n}`)));
      await admin.deleteRecordsBefore(0, 4);
      await admin.deleteRecordsBefore(0, 2);
      assert.deepEqual(await writer.bounds(0), { start: 4, end: 10 });
      assert.deepEqual(await writer.bounds(1), { start: 0, end: 0 });
      await assert.rejects(admin.deleteRecordsBefore(0, 11), { code: 'invalid_request' });
      const again = await log.reopen();
      assert.deepEqual(await again.writer.bounds(0), { start: 4, end: 10 });
      const reader = await again.openReader();
      await assert.rejects(reader.read(0, 3, READ_ALL), { code: 'history_expired' });
      assert.deepEqual(
        (await readAll(reader, 0, 4)).map((record) => record.offset),
        [4, 5, 6, 7, 8, 9],
      );
      await again.admin.deleteRecordsBefore(0, 10);
      assert.deepEqual(await again.writer.append([newRecord(0, 11, 'next')]), [10]);
      await reader.close();
      return again;
    }));
}

function timeCases(options: LogContractOptions): void {
  test('the first offset since a time, from before the start to after the end', () =>
    using(options, 2, async (log) => {
      const { writer, admin } = log;
      const atMs = (n: number) => 1_790_000_000_000 + 10 * Math.floor(n / 3);
      const records = Array.from({ length: 30 }, (_, n) => {
        const hlc = (BigInt(atMs(n)) << 16n) | BigInt(n % 3);
        return { ...newRecord(0, n, `n ${n}`), hlc };
      });
      for (let n = 0; n < 30; n += 5) await writer.append(records.slice(n, n + 5));
      await admin.deleteRecordsBefore(0, 4);
      const reader = await log.openReader();
      await untilEnd(reader, 0, 30);
      assert.equal(await reader.offsetSince(1, atMs(0)), 0);
      for (const timeMs of [0, atMs(3)]) assert.equal(await reader.offsetSince(0, timeMs), 4);
      for (let n = 6; n < 30; n++) {
        const first = n - (n % 3);
        assert.equal(await reader.offsetSince(0, atMs(n)), first);
        assert.equal(await reader.offsetSince(0, atMs(n) - 9), first);
        assert.equal(await reader.offsetSince(0, atMs(n) + 1), first + 3);
      }
      await reader.close();
      return undefined;
    }));
}

const recordsOf = (batch: RecentBatch) =>
  Array.from({ length: batch.count }, (_, i) => batch.record(i));

function recentCases(options: LogContractOptions): void {
  test('the recent records are the newest, newest first, with their digests', () =>
    using(options, PARTITIONS, async (log) => {
      for (let n = 0; n < 30; n++) await log.writer.append([newRecord(n % PARTITIONS, n, 'x')]);
      const again = await log.reopen();
      for (const { writer } of [again]) {
        const recent = [];
        for await (const batch of writer.recent(12)) recent.push(...recordsOf(batch));
        assert.equal(recent.length, 12);
        for (const [i, record] of recent.entries()) {
          const n = 29 - i;
          assert.equal(record.partition, n % PARTITIONS);
          assert.equal(record.offset, Math.floor(n / PARTITIONS));
          assert.equal(record.hlc, newRecord(0, n, '').hlc);
          assert.deepEqual(Buffer.from(record.idDigest), digestOf(n, 1));
          assert.deepEqual(Buffer.from(record.contentDigest), digestOf(n, 2));
        }
      }
      const all = [];
      for await (const batch of again.writer.recent(1000)) all.push(...recordsOf(batch));
      assert.equal(all.length, 30);
      return again;
    }));
}

const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.array(fc.tuple(fc.nat({ max: 2 }), fc.nat({ max: 900 })), { maxLength: 12 }),
  },
  { weight: 1, arbitrary: fc.constant('reopen' as const) },
  {
    weight: 1,
    arbitrary: fc.record({
      partition: fc.nat({ max: 2 }),
      share: fc.double({ min: 0, max: 1, noNaN: true }),
    }),
  },
);

function modelCase(options: LogContractOptions): void {
  test('any mix of appends, restarts and deletions agrees with lists in memory', () =>
    fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
        let log = await options.create(PARTITIONS);
        try {
          const model: NewRecord[][] = [[], [], []];
          const starts = [0, 0, 0];
          let n = 0;
          for (const one of steps) {
            if (one === 'reopen') log = await log.reopen();
            else if (Array.isArray(one)) {
              const batch = one.map(([p, size]) => newRecord(p, n++, Buffer.alloc(size, n)));
              const offsets = await log.writer.append(batch);
              for (const [i, record] of batch.entries()) {
                assert.equal(offsets[i], (model[record.partition]?.push(record) ?? 0) - 1);
              }
            } else {
              const { partition } = one;
              const offset = Math.floor((model[partition]?.length ?? 0) * one.share);
              await log.admin.deleteRecordsBefore(partition, offset);
              starts[partition] = Math.max(starts[partition] ?? 0, offset);
            }
          }
          await agrees(log, model, starts);
        } finally {
          await log.dispose();
        }
      }),
      { numRuns: options.runs ?? 30 },
    ));
}

async function agrees(log: LogUnderTest, model: NewRecord[][], starts: number[]): Promise<void> {
  const reader = await log.openReader();
  for (const [p, expected] of model.entries()) {
    const start = starts[p] ?? 0;
    if (expected.length > 0) await untilEnd(reader, p, expected.length);
    assert.deepEqual(await log.writer.bounds(p), { start, end: expected.length });
    const records = await readAll(reader, p, start);
    assert.equal(records.length, expected.length - start);
    for (const [i, record] of records.entries()) {
      sameRecord(record, expected[start + i] as NewRecord, start + i);
    }
  }
  await reader.close();
}
