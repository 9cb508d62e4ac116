import type { WriteBatch } from '@memplane/rocks';
import { type Logger, pause } from '@memplane/runtime';
import {
  offsetAtEnd,
  PLANE,
  prefixRange,
  ShardKeys,
  splitPartitionKey,
  toKey,
} from '../domain/keys.ts';
import {
  decodeProgress,
  encodeProgress,
  expiryLimit,
  isMoveDue,
  type PruneProgress,
  phaseAfter,
} from '../domain/retention.ts';
import { decodeHistory, decodeOffset, decodeUntil } from '../domain/rows.ts';
import { encodeShard } from '../domain/shard-record.ts';
import { readTimeline } from '../domain/timeline.ts';
import type { Shard } from '../shard.ts';
import { BackgroundLoop } from './background-loop.ts';
import { checkOpen, EntityPruner, type PruneBounds, tableEnd } from './entity-pruner.ts';
import { ViewReader } from './view-reader.ts';
import type { ViewStore } from './view-store.ts';

export interface HistoryPrunerSettings extends PruneBounds {
  /** How long history stays readable; 0: for ever. */
  readonly historyRetentionMs: number;
  readonly historyPruneTickMs: number;
}

export interface HistoryPrunerPorts {
  readonly store: ViewStore;
  /** Those that are here. */
  readonly shards: Iterable<Shard>;
  readonly logger: Logger;
  /** Called with the number of events that went. */
  readonly onPruned: (events: number) => void;
}

/** Batches of the timeline that are looked through at once. */
const TIMELINE_STEP_BATCHES = 8;
/** Entities that are remembered as done; a forgotten one is only looked at again. */
const DONE_ENTITIES_MAX = 65_536;
/** Entities whose rows are read at the same time; each has a step's bounds of its own. */
const ENTITIES_AT_ONCE_MAX = 8;
/** Rows of whole events that are in memory at once. */
const SWEEP_EVENTS_MAX = 16;
const RETRY_MS_MAX = 60_000;

/**
 * Moves the start of the history of each shard, and removes what lies before it: in steps of a
 * bounded number of rows, between which it rests as long as it worked, beside applying and reads.
 * The start moves first, in one write; from then on nothing before it is read, so that what is half
 * removed is never seen. After a crash the removal goes on.
 */
export class HistoryPruner extends BackgroundLoop {
  readonly #ports: HistoryPrunerPorts;
  readonly #settings: HistoryPrunerSettings;
  readonly #entities: EntityPruner;
  /** The newest stamps at the last look. */
  readonly #looked = new WeakMap<Shard, bigint>();

  constructor(ports: HistoryPrunerPorts, settings: HistoryPrunerSettings) {
    super();
    this.#ports = ports;
    this.#settings = settings;
    this.#entities = new EntityPruner(ports.store, settings);
  }

  protected async run(): Promise<void> {
    const signal = this.stopping;
    let failures = 0;
    while (!signal.aborted) {
      const { historyPruneTickMs: tickMs } = this.#settings;
      await pause(Math.max(tickMs, Math.min(RETRY_MS_MAX, tickMs * 2 ** failures)), signal);
      try {
        for (const shard of this.#ports.shards) {
          if (shard.state !== 'closed') await this.#runShard(shard, signal);
        }
        failures = 0;
      } catch (error) {
        if (signal.aborted) return;
        if (failures === 0) {
          this.#ports.logger.error({ err: error }, 'removing old history failed; it goes on');
        }
        failures = Math.min(failures + 1, 16);
      }
    }
  }

  async #runShard(shard: Shard, signal: AbortSignal): Promise<void> {
    let startedAt = performance.now();
    try {
      for await (const events of this.prune(shard)) {
        this.#ports.onPruned(events);
        await pause(performance.now() - startedAt, signal);
        if (signal.aborted) return;
        startedAt = performance.now();
      }
    } catch (error) {
      // Who has the partition now goes on.
      if (shard.state !== 'closed') throw error;
    }
  }

  /** All that is to be done for one shard now. Yields after each write; may be broken off there. */
  async *prune(shard: Shard): AsyncGenerator<number> {
    const { maxHlc } = shard.record;
    if (this.#looked.get(shard) === maxHlc) return;
    const unfinished = await this.#unfinished(shard);
    if (unfinished !== undefined) yield* this.#remove(shard, unfinished);
    // More may have got too old since that one began.
    const due = await this.#moveStart(shard);
    if (due !== undefined) yield* this.#remove(shard, due);
    this.#looked.set(shard, maxHlc);
  }

  async *#remove(shard: Shard, begun: PruneProgress): AsyncGenerator<number> {
    let progress: PruneProgress | undefined = begun;
    while (progress !== undefined) {
      yield* this.#phase(shard, progress);
      const phase = phaseAfter(progress.phase);
      const next: PruneProgress | undefined = phase && { ...progress, phase };
      await this.#save(shard, next);
      progress = next;
      yield 0;
    }
  }

  async #unfinished({ partition }: Shard): Promise<PruneProgress | undefined> {
    const row = await this.#ports.store.rocks.get(toKey(planeKeys(partition).pruning()));
    return row === null ? undefined : decodeProgress(row);
  }

  async #save(shard: Shard, progress: PruneProgress | undefined): Promise<void> {
    const { rocks } = this.#ports.store;
    const key = toKey(planeKeys(shard.partition).pruning());
    const batch = rocks.batch();
    if (progress === undefined) batch.delete(key);
    else batch.put(key, encodeProgress(progress));
    await this.#write(shard, batch);
  }

  #write(shard: Shard, batch: WriteBatch): Promise<void> {
    return shard.exclusively(async () => {
      checkOpen(shard);
      await this.#ports.store.rocks.write(batch);
    });
  }

  /** @returns the removal that begins, if enough is too old */
  async #moveStart(shard: Shard): Promise<PruneProgress | undefined> {
    const { record, partition } = shard;
    const { historyRetentionMs } = this.#settings;
    const limit = expiryLimit(record.maxHlc, historyRetentionMs);
    const from = record.historyStart;
    if (limit === 0n || from > record.applied) return undefined;
    const to = await this.#ports.store.read(async (rocks, snapshot) => {
      const reader = new ViewReader(rocks, snapshot);
      const first = await reader.stampAt(record, partition, from);
      if (!isMoveDue(first, limit, historyRetentionMs)) return from;
      return (await reader.offsetAt(record, partition, limit - 1n)) + 1;
    });
    if (to <= from) return undefined;
    const progress: PruneProgress = { from, to, phase: 'entities', next: from };
    await shard.exclusively(async () => {
      checkOpen(shard);
      const { rocks } = this.#ports.store;
      const keys = planeKeys(partition);
      const batch = rocks.batch();
      batch.put(toKey(keys.shard()), encodeShard({ ...shard.record, historyStart: to }));
      batch.put(toKey(keys.pruning()), encodeProgress(progress));
      await rocks.write(batch);
      shard.moveHistoryStart(to);
    });
    this.#ports.logger.info({ partition, historyStart: to }, 'older history is removed');
    return progress;
  }

  #phase(shard: Shard, progress: PruneProgress): AsyncGenerator<number> {
    const { to } = progress;
    switch (progress.phase) {
      case 'entities':
        return this.#pruneEntities(shard, progress);
      case 'rejected':
        return this.#pruneRejected(shard, to);
      case 'ends':
        return this.#pruneEnds(shard, to);
      case 'former':
        return this.#pruneFormer(shard, to);
      case 'timeline':
        return this.#pruneTimeline(shard, to);
    }
  }

  /** Everything that changed between the two starts, found through the timeline. */
  async *#pruneEntities(shard: Shard, progress: PruneProgress): AsyncGenerator<number> {
    const { partition } = shard;
    const keys = planeKeys(partition);
    const done = new Set<string>();
    for (let { next } = progress; next < progress.to; ) {
      const batches = await this.#ports.store.rocks.scanAll({
        gte: toKey(keys.batch(next)),
        lt: tableEnd(keys, 'b'),
        limit: TIMELINE_STEP_BATCHES,
        chunkRows: TIMELINE_STEP_BATCHES,
      });
      if (batches.length === 0) return;
      const entries = batches.flatMap(({ value }) => readTimeline(value));
      let group: AsyncGenerator<number>[] = [];
      for (const { offset, key } of entries) {
        if (offset < next || offset >= progress.to || key === '' || done.has(key)) continue;
        if (done.size >= DONE_ENTITIES_MAX) done.clear();
        done.add(key);
        const { tenant, entity } = splitPartitionKey(key);
        const entityKeys = new ShardKeys(tenant, partition);
        group.push(this.#entities.run(shard, entityKeys, entity, progress));
        if (group.length < ENTITIES_AT_ONCE_MAX) continue;
        yield* together(group);
        group = [];
      }
      yield* together(group);
      next = (entries.at(-1)?.offset ?? progress.to) + 1;
      await this.#save(shard, { ...progress, next });
    }
  }

  /** Events with a reused id, of entities that did not change: the timeline does not name them. */
  async *#pruneRejected(shard: Shard, to: number): AsyncGenerator<number> {
    if (shard.record.rejected === 0) return;
    yield* this.#sweep(shard, 'v', (key, value) => {
      const isOld = key[key.length - 1] === 0 && offsetAtEnd(key, 1) < to;
      return isOld && decodeHistory(value).rejected ? [key] : [];
    });
  }

  /** Memory versions that ended before the start, and the events that had been kept for them. */
  async *#pruneEnds(shard: Shard, to: number): AsyncGenerator<number> {
    yield* this.#sweep(shard, 'u', (key, value, keys) => {
      if (decodeUntil(value).until >= to) return [];
      const entity = key.toString('latin1', keys.table('u').length, key.length - 7);
      return [key, toKey(keys.event(entity, offsetAtEnd(key)))];
    });
  }

  async *#pruneFormer(shard: Shard, to: number): AsyncGenerator<number> {
    yield* this.#sweep(shard, 'y', (key, value) => (decodeOffset(value) < to ? [key] : []));
  }

  /** The batch that holds the last offset before the start stays: it tells that cut's stamp. */
  async *#pruneTimeline(shard: Shard, to: number): AsyncGenerator<number> {
    const { rocks } = this.#ports.store;
    const keys = planeKeys(shard.partition);
    const batch = rocks.batch();
    batch.deleteRange(toKey(keys.table('b')), toKey(keys.batch(to - 1)));
    const stamps = { ...prefixRange(keys.table('t')), values: false };
    let kept: Buffer | undefined;
    scan: for await (const rows of rocks.scan(stamps)) {
      for (const { key } of rows) {
        if (offsetAtEnd(key) < to - 1) continue;
        kept = key;
        break scan;
      }
    }
    if (kept !== undefined) batch.deleteRange(toKey(keys.table('t')), kept);
    await this.#write(shard, batch);
    yield 0;
  }

  /** Goes through a table of all tenants and removes what `old` names, a bounded step at a time. */
  async *#sweep(
    shard: Shard,
    table: 'v' | 'u' | 'y',
    old: (key: Buffer, value: Buffer, keys: ShardKeys) => readonly Buffer[],
  ): AsyncGenerator<number> {
    const { history_prune_rows_max: max } = this.#settings;
    const rowsMax = table === 'v' ? Math.min(max, SWEEP_EVENTS_MAX) : max;
    for (const tenant of shard.record.tenants) {
      const keys = new ShardKeys(tenant, shard.partition);
      let { gte } = prefixRange(keys.table(table));
      const lt = tableEnd(keys, table);
      for (;;) {
        const { rocks } = this.#ports.store;
        const rows = await rocks.scanAll({ gte, lt, limit: rowsMax, chunkRows: rowsMax });
        const batch = rocks.batch();
        for (const { key, value } of rows) {
          for (const gone of old(key, value, keys)) batch.delete(gone);
        }
        await this.#write(shard, batch);
        yield 0;
        const last = rows.at(-1);
        if (last === undefined || rows.length < rowsMax) break;
        gte = Buffer.concat([last.key, Buffer.of(0)]);
      }
    }
  }
}

/** Steps of several works side by side. Yields the sum of what they yield. */
async function* together(works: readonly AsyncGenerator<number>[]): AsyncGenerator<number> {
  for (let left = works; left.length > 0; ) {
    const steps = await Promise.all(left.map((work) => work.next()));
    left = left.filter((_, i) => steps[i]?.done !== true);
    yield steps.reduce((sum, { value }) => sum + (value ?? 0), 0);
  }
}

function planeKeys(partition: number): ShardKeys {
  return new ShardKeys(PLANE, partition);
}
