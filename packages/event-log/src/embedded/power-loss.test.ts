import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { newRecord } from '../contract.ts';
import type { NewRecord } from '../port.ts';
import { SimulatedDisk } from '../testing/simulated-disk.ts';
import { openEmbeddedLog, openEmbeddedReader } from './open.ts';

const PARTITIONS = 3;
const DIR = '/data';

function options(disk: SimulatedDisk) {
  return {
    dir: DIR,
    partitions: PARTITIONS,
    segmentBytes: 4096,
    lock: false,
    fileSystem: disk.boot(),
  };
}

/** A small generator of its own, so that a case is told by its seed alone. */
function chanceOf(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    return (state >>> 8) / 0x1000000;
  };
}

interface Life {
  readonly batches: readonly (readonly [partition: number, size: number])[][];
  readonly operations: number;
  readonly ending: 'kill' | 'power';
  readonly seed: number;
  readonly deleteShare: number;
}

const life: fc.Arbitrary<Life> = fc.record({
  batches: fc.array(
    fc.array(fc.tuple(fc.nat({ max: 2 }), fc.nat({ max: 700 })), { maxLength: 6 }),
    {
      maxLength: 12,
    },
  ),
  operations: fc.nat({ max: 120 }),
  ending: fc.constantFrom('kill', 'power'),
  seed: fc.integer(),
  deleteShare: fc.double({ min: 0, max: 1, noNaN: true }),
});

/** What may and must be in the log. */
class Ledger {
  readonly acknowledged: Map<number, NewRecord>[] = [new Map(), new Map(), new Map()];
  readonly sent = new Map<string, NewRecord>();
  highestHlc = 0n;
  #n = 0;

  batch(shape: readonly (readonly [number, number])[]): NewRecord[] {
    return shape.map(([partition, size]) => {
      this.#n += 1;
      const record = newRecord(partition, this.#n, Buffer.alloc(size, this.#n));
      this.sent.set(record.key, record);
      return record;
    });
  }

  acknowledge(records: readonly NewRecord[], offsets: readonly number[]): void {
    for (const [i, record] of records.entries()) {
      const offset = offsets[i] ?? -1;
      assert.ok(!this.acknowledged[record.partition]?.has(offset), 'no offset is given twice');
      this.acknowledged[record.partition]?.set(offset, record);
      if (record.hlc > this.highestHlc) this.highestHlc = record.hlc;
    }
  }
}

async function checkAll(
  disk: SimulatedDisk,
  log: Awaited<ReturnType<typeof openEmbeddedLog>>,
  ledger: Ledger,
): Promise<void> {
  const reader = await openEmbeddedReader({
    dir: DIR,
    shared: log.shared,
    fileSystem: disk.current,
  });
  assert.ok(log.writer.highestHlc >= ledger.highestHlc, 'stamps never go back');
  const seen = new Set<string>();
  for (let p = 0; p < PARTITIONS; p++) {
    const { start, end } = await reader.bounds(p);
    const acknowledged = ledger.acknowledged[p] ?? new Map();
    for (const offset of acknowledged.keys())
      assert.ok(offset < end, `p${p} offset ${offset} is lost`);
    for (let next = start; next < end; ) {
      for (const record of await reader.read(p, next, { maxBytes: 3000 })) {
        assert.equal(record.offset, next);
        const expected = acknowledged.get(next) ?? ledger.sent.get(record.key);
        assert.equal(record.key, expected?.key);
        assert.ok(record.value.equals(expected?.value ?? Buffer.alloc(0)));
        assert.ok(!seen.has(record.key), 'no record is there twice');
        seen.add(record.key);
        acknowledged.set(next, expected as NewRecord);
        next += 1;
      }
    }
  }
  await reader.close();
}

async function live(disk: SimulatedDisk, one: Life, ledger: Ledger): Promise<void> {
  disk.faults.operationsLeft = one.operations;
  let log: Awaited<ReturnType<typeof openEmbeddedLog>>;
  try {
    log = await openEmbeddedLog(options(disk));
  } catch (error) {
    assert.ok(disk.isStopped, `opening failed by itself: ${String(error)}`);
    return;
  }
  const appends = one.batches.map(async (shape, i) => {
    const records = ledger.batch(shape);
    // some of them wait for the earlier ones, so that there are several commits
    if (i % 3 === 2) await appends[i - 1];
    const offsets = await log.writer.append(records);
    ledger.acknowledge(records, offsets);
  });
  await Promise.allSettled(appends);
  const { end } = await log.writer.bounds(0);
  const start = Math.floor(end * one.deleteShare * 0.5);
  await log.admin.deleteRecordsBefore(0, start).catch(() => undefined);
}

/** The process ends between making a segment and syncing its name; the next one goes on in it. */
const unsyncedName: Life[] = [
  {
    batches: [
      [
        [2, 0],
        [1, 80],
        [0, 394],
        [0, 681],
        [0, 379],
      ],
    ],
    operations: 20,
    ending: 'kill',
    seed: 0,
    deleteShare: 0,
  },
  {
    batches: [
      [
        [0, 240],
        [0, 411],
        [0, 100],
        [1, 242],
        [0, 481],
      ],
    ],
    operations: 9,
    ending: 'kill',
    seed: 0,
    deleteShare: 0,
  },
  { batches: [[[0, 0]]], operations: 9, ending: 'power', seed: 157652031, deleteShare: 0 },
];

test('whatever ends the process or the power, what was acknowledged is there, once', () =>
  fc.assert(
    fc.asyncProperty(fc.array(life, { minLength: 1, maxLength: 6 }), async (lives) => {
      const disk = new SimulatedDisk();
      const ledger = new Ledger();
      for (const one of lives) {
        await live(disk, one, ledger);
        if (one.ending === 'power') disk.losePower(chanceOf(one.seed));
        else disk.kill();
      }
      const log = await openEmbeddedLog(options(disk));
      await checkAll(disk, log, ledger);
      const records = ledger.batch([
        [0, 10],
        [1, 10],
        [2, 10],
      ]);
      ledger.acknowledge(records, await log.writer.append(records));
      await log.writer.close();
      const again = await openEmbeddedLog(options(disk));
      await checkAll(disk, again, ledger);
      await again.writer.close();
    }),
    { examples: [[unsyncedName]], numRuns: Number(process.env['MEMPLANE_LOG_RUNS'] ?? 200) },
  ));
