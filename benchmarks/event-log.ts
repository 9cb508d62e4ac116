/*
 * The embedded log by itself: appends of 8 writers × 500 × 400 B, and single appends of 64 callers,
 * each against the same bytes written and synced by nothing but write and fdatasync. Rounds are
 * interleaved; the table gives medians and spreads.
 *
 *   node benchmarks/event-log.ts [rounds]
 */
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import {
  type NewRecord,
  openEmbeddedLog,
  openEmbeddedReader,
  partitionOf,
} from '@memplane/event-log';

const ROUNDS = Number(process.argv[2] ?? 5);
const VALUE_BYTES = 400;
const PARTITIONS = 12;
const RECORD_OVERHEAD_BYTES = 68 + 10;

const base =
  process.env['MEMPLANE_BENCH_DIR'] ?? path.join(os.homedir(), '.cache', 'memplane', 'bench');
fs.mkdirSync(base, { recursive: true });
const root = fs.mkdtempSync(path.join(base, 'event-log-'));
const value = Buffer.alloc(VALUE_BYTES, 'v');
const writev = promisify(fs.writev);
const fdatasync = promisify(fs.fdatasync);
let made = 0;

function records(count: number): NewRecord[] {
  return Array.from({ length: count }, () => {
    const key = `user/${made++ % 10_000}`;
    const digest = Buffer.alloc(16, made);
    return {
      partition: partitionOf(key, PARTITIONS),
      key,
      value,
      hlc: BigInt(Date.now()) << 16n,
      idDigest: digest,
      contentDigest: digest,
    };
  });
}

interface Figure {
  readonly eventsPerSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

function figure(events: number, elapsedMs: number, latenciesMs: number[]): Figure {
  latenciesMs.sort((a, b) => a - b);
  const at = (share: number) => latenciesMs[Math.floor((latenciesMs.length - 1) * share)] ?? 0;
  return { eventsPerSecond: (events / elapsedMs) * 1000, p50Ms: at(0.5), p99Ms: at(0.99) };
}

/** `callers` call `append` one after the other, `calls` times each, with `batch` events. */
async function load(
  callers: number,
  calls: number,
  batch: number,
  append: (records: NewRecord[]) => Promise<unknown>,
): Promise<Figure> {
  const batches = Array.from({ length: callers }, () => records(batch));
  const latencies: number[] = [];
  const startedAt = performance.now();
  await Promise.all(
    batches.map(async (mine) => {
      for (let i = 0; i < calls; i++) {
        const sentAt = performance.now();
        await append(mine);
        latencies.push(performance.now() - sentAt);
      }
    }),
  );
  return figure(callers * calls * batch, performance.now() - startedAt, latencies);
}

/** The same bytes, from one buffer, one write and one shared fdatasync for all that waits. */
function rawDisk(file: string): { append: (records: NewRecord[]) => Promise<void>; fd: number } {
  const fd = fs.openSync(file, 'w');
  const bytes = Buffer.alloc(16 * 1024 * 1024, 'r');
  let position = 0;
  let waitingBytes = 0;
  let waiting: (() => void)[] = [];
  let isRunning = false;
  const run = async (): Promise<void> => {
    while (waiting.length > 0) {
      await new Promise((resolve) => setImmediate(resolve));
      const [length, done] = [waitingBytes, waiting];
      [waitingBytes, waiting] = [0, []];
      await writev(fd, [bytes.subarray(0, length)], position);
      await fdatasync(fd);
      position += length;
      for (const resolve of done) resolve();
    }
    isRunning = false;
  };
  const append = (batch: NewRecord[]): Promise<void> => {
    waitingBytes += batch.length * (VALUE_BYTES + RECORD_OVERHEAD_BYTES);
    const durable = new Promise<void>((resolve) => waiting.push(resolve));
    if (!isRunning) {
      isRunning = true;
      void run();
    }
    return durable;
  };
  return { append, fd };
}

async function round(
  callers: number,
  calls: number,
  batch: number,
): Promise<{ log: Figure; raw: Figure }> {
  const dir = fs.mkdtempSync(path.join(root, 'log-'));
  const { writer } = await openEmbeddedLog({ dir, partitions: PARTITIONS });
  const log = await load(callers, calls, batch, (mine) => writer.append(mine));
  await writer.close();
  const file = path.join(root, 'raw');
  const disk = rawDisk(file);
  const raw = await load(callers, calls, batch, disk.append);
  fs.closeSync(disk.fd);
  fs.rmSync(dir, { recursive: true });
  fs.rmSync(file);
  return { log, raw };
}

function median(values: number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
}

function spread(values: number[]): string {
  return `${Math.round(Math.min(...values) / 1000)}–${Math.round(Math.max(...values) / 1000)}k`;
}

async function compare(
  name: string,
  callers: number,
  calls: number,
  batch: number,
): Promise<object> {
  await round(callers, Math.ceil(calls / 10), batch);
  const rounds = [];
  for (let i = 0; i < ROUNDS; i++) rounds.push(await round(callers, calls, batch));
  const logs = rounds.map(({ log }) => log.eventsPerSecond);
  const raws = rounds.map(({ raw }) => raw.eventsPerSecond);
  const ratios = rounds.map(({ log, raw }) => log.eventsPerSecond / raw.eventsPerSecond);
  return {
    what: name,
    'log events/s': Math.round(median(logs)),
    spread: spread(logs),
    'p50 ms': Number(median(rounds.map(({ log }) => log.p50Ms)).toFixed(2)),
    'p99 ms': Number(median(rounds.map(({ log }) => log.p99Ms)).toFixed(2)),
    'raw events/s': Math.round(median(raws)),
    'log / raw': Number(median(ratios).toFixed(2)),
  };
}

async function readAndRestart(): Promise<object> {
  const dir = fs.mkdtempSync(path.join(root, 'log-'));
  const first = await openEmbeddedLog({ dir, partitions: PARTITIONS });
  const batch = records(1000);
  for (let i = 0; i < 400; i++) await first.writer.append(batch);
  const reader = await openEmbeddedReader({ dir, shared: first.shared });
  const readAt = performance.now();
  let read = 0;
  for (let p = 0; p < PARTITIONS; p++) {
    for (let next = 0; ; ) {
      const some = await reader.read(p, next, { maxBytes: 1024 * 1024 });
      if (some.length === 0) break;
      next += some.length;
      read += some.length;
    }
  }
  const readMs = performance.now() - readAt;
  await reader.close();
  const recentAt = performance.now();
  let recent = 0;
  for await (const batch of first.writer.recent(200_000)) recent += batch.count;
  const recentMs = performance.now() - recentAt;
  await first.writer.close();
  const second = await openEmbeddedLog({ dir });
  await second.writer.close();
  fs.rmSync(path.join(dir, 'index'), { recursive: true });
  const third = await openEmbeddedLog({ dir });
  await third.writer.close();
  fs.rmSync(dir, { recursive: true });
  return {
    'read events/s': Math.round((read / readMs) * 1000),
    [`recent(${recent}) ms`]: Math.round(recentMs),
    'open ms': Math.round(second.report.openMs),
    'open without indexes ms': Math.round(third.report.openMs),
  };
}

try {
  console.table([
    await compare('8 writers, batches of 500 × 400 B', 8, 40, 500),
    await compare('64 writers, single events of 400 B', 64, 150, 1),
  ]);
  console.table([await readAndRestart()]);
} finally {
  fs.rmSync(root, { recursive: true });
}
