/**
 * How fast the log becomes views, against writing the very same rows: the write batches that the
 * fold produced, replayed into an empty store. Interleaved rounds after some that warm both up,
 * equal durability (none of the two syncs: the log is the truth). And reads of the past against
 * reads of the newest state, in an entity of 10,000 events, without HTTP: benchmarks/as-of.ts has
 * the goal.
 *
 *     node benchmarks/apply.ts [events] [entities] [rounds]
 */
import { type LogReader, type LogRecord, partitionOf } from '@memplane/event-log';
import type { WriteBatch } from '@memplane/rocks';
import type { ApplySettings } from '../services/materializer/src/domain/apply-batch.ts';
import { foldRecords } from '../services/materializer/src/drivers/applier.ts';
import {
  WorkingSet,
  type WorkingSetSettings,
} from '../services/materializer/src/drivers/working-set.ts';
import { waiting } from '../services/materializer/src/reads/cuts.ts';
import { readEntity } from '../services/materializer/src/reads/entity.ts';
import type { Plane } from '../services/materializer/src/reads/plane.ts';
import { Shard, WaitLimit } from '../services/materializer/src/shard.ts';
import { ShardSet } from '../services/materializer/src/shard-set.ts';
import { benchEntity, benchEvent } from './lib/bench-event.ts';
import { type PackedBatch, packBatch, ReplayThread } from './lib/replay-thread.ts';
import { summarize } from './lib/rounds.ts';
import { atLeast, emitRow, SHORT } from './lib/row.ts';
import { inTurns, withViewStore } from './lib/view-stores.ts';

const [EVENTS = SHORT ? 5_000 : 60_000, ENTITIES = 3_000, ROUNDS = 5] = process.argv
  .slice(2)
  .map(Number);
/** A plane that has just started is slower than one that has run for some seconds. */
const WARM_UP_ROUNDS = 3;
const PARTITIONS = 12;
const BATCH_RECORDS = 512;
const LOG_ID = '0c7a4d0e-6f2b-4c59-9d3e-5a1b2c3d4e5f';
const KNOWN: WorkingSetSettings = {
  entity_cache_bytes_max: (16 * 1024 * 1024) / PARTITIONS,
  key_filter_bytes: (8 * 1024 * 1024) / PARTITIONS,
};
const SETTINGS: ApplySettings = {
  sessionOpenTypes: new Set(['SessionStarted']),
  sessionCloseTypes: new Set(['SessionEnded']),
  snapshot_bytes_min: 4 * 1024,
};

function record(n: number, entity: string, partition: number, offset: number): LogRecord {
  const { key, value, hlc } = benchEvent(n, entity);
  return { partition, offset, key, value, hlc };
}

function makeLog(): LogRecord[][] {
  const log: LogRecord[][] = Array.from({ length: PARTITIONS }, () => []);
  for (let n = 0; n < EVENTS; n++) {
    const entity = benchEntity(n, ENTITIES);
    const partition = partitionOf(entity, PARTITIONS);
    const records = log[partition]!;
    records.push(record(n, entity, partition, records.length));
  }
  return log;
}

/** Applies all; returns milliseconds. */
async function apply(
  log: readonly LogRecord[][],
  onBatch: (partition: number, operations: WriteBatch['operations']) => void,
): Promise<number> {
  return withViewStore(async (store) => {
    const shards = await store.loadShards({ logId: LOG_ID, epoch: 0, partitions: PARTITIONS });
    const started = performance.now();
    await inTurns(PARTITIONS, async (partition) => {
      let shard = shards[partition]!;
      const records = log[partition]!;
      const known = new WorkingSet(shard.applied, KNOWN);
      for (let at = 0; at < records.length; at += BATCH_RECORDS) {
        const batch = records.slice(at, at + BATCH_RECORDS);
        const folded = await foldRecords(store.rocks, shard, partition, batch, SETTINGS, known);
        onBatch(partition, folded.writes.operations);
        await store.rocks.write(folded.writes);
        folded.written();
        shard = folded.shard;
      }
    });
    return performance.now() - started;
  });
}

const median = (values: readonly number[]) =>
  [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)]!;
const percentile = (values: readonly number[], p: number) =>
  [...values].sort((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * p))]!;

async function applyAgainstReplay(): Promise<void> {
  const log = makeLog();
  const batches: PackedBatch[][] = Array.from({ length: PARTITIONS }, () => []);
  await apply(log, (partition, operations) => batches[partition]!.push(packBatch(operations)));
  const rows = batches.flat().reduce((sum, { lengths }) => sum + lengths.length / 2, 0);
  const replay = new ReplayThread(batches);
  const ratios: number[] = [];
  const applyRates: number[] = [];
  const replayRates: number[] = [];
  for (let round = -WARM_UP_ROUNDS; round < ROUNDS; round++) {
    const applyMs = await apply(log, () => {});
    const replayMs = await replay.run();
    if (round < 0) continue;
    applyRates.push((EVENTS / applyMs) * 1000);
    replayRates.push((EVENTS / replayMs) * 1000);
    ratios.push(replayMs / applyMs);
  }
  await replay.end();
  emitRow('apply: log → views, history, filter', atLeast(0.5), summarize('apply', ratios), {
    against: 'its own recorded write batches, replayed',
  });
  console.table([
    {
      what: `apply, ${EVENTS} events, ${ENTITIES} entities`,
      'events/s': Math.round(median(applyRates)),
      'its batches replayed/s': Math.round(median(replayRates)),
      'rows/event': (rows / EVENTS).toFixed(2),
      ratio: median(ratios).toFixed(2),
      spread: `${Math.min(...ratios).toFixed(2)}–${Math.max(...ratios).toFixed(2)}`,
      goal: '≥ 0.5',
    },
  ]);
}

const PAST_EVENTS = 10_000;
const READS = 1_000;

async function pastAgainstLatest(): Promise<void> {
  await withViewStore(async (store) => {
    const records = Array.from({ length: PAST_EVENTS }, (_, n) => record(n, 'user/long', 0, n));
    const info = { logId: LOG_ID, epoch: 0, partitions: 1 };
    let shard = await store.loadShard(info, 0);
    for (let at = 0; at < PAST_EVENTS; at += BATCH_RECORDS) {
      const batch = records.slice(at, at + BATCH_RECORDS);
      const folded = await foldRecords(store.rocks, shard, 0, batch, SETTINGS);
      await store.rocks.write(folded.writes);
      shard = folded.shard;
    }
    await store.rocks.flush();
    const shards = new ShardSet(
      { info: { logId: '', epoch: 0, partitions: 1 } },
      { epochOf: () => 1 },
    );
    shards.add(new Shard(0, shard, { ownerEpoch: 1 }, new WaitLimit(10)));
    const log = {
      info,
      bounds: async () => ({ start: 0, end: PAST_EVENTS }),
    } as unknown as LogReader;
    const plane: Plane = {
      log,
      store,
      shards,
      settings: { time_cut_settle_ms: 0, query_scan_rows_max: 1, trace_nodes_max: 1 },
      now: Date.now,
    };
    const signal = new AbortController().signal;
    const read = async (asOf: string | undefined) => {
      const request = { tenant: 'default', entity: 'user/long', after: undefined, asOf };
      const started = performance.now();
      await readEntity(plane, { ...request, wait: waiting(0, signal) });
      return (performance.now() - started) * 1000;
    };
    const rounds: Record<string, string | number>[] = [];
    const ratios: number[] = [];
    for (let round = 0; round <= ROUNDS; round++) {
      const latest: number[] = [];
      const past: number[] = [];
      for (let n = 0; n < READS; n++) {
        latest.push(await read(undefined));
        past.push(await read(`offset:${(n * 7919 + round) % PAST_EVENTS}`));
      }
      if (round === 0) continue; // warm-up
      ratios.push(percentile(past, 0.99) / percentile(latest, 0.99));
      rounds.push({
        'latest p50 µs': Math.round(median(latest)),
        'latest p99 µs': Math.round(percentile(latest, 0.99)),
        'asOf p50 µs': Math.round(median(past)),
        'asOf p99 µs': Math.round(percentile(past, 0.99)),
        'p99 ratio': ratios.at(-1)!.toFixed(2),
      });
    }
    console.table(rounds);
    console.log(
      `asOf p99 / latest p99, ${PAST_EVENTS} events in the entity, in the service: median ${median(ratios).toFixed(2)}`,
    );
  });
}

await applyAgainstReplay();
await pastAgainstLatest();
