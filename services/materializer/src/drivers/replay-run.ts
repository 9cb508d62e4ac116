import { createHash } from 'node:crypto';
import { parseHlc } from '@memplane/clock';
import { type CloudEvent, type Json, MemplaneError, type Replay } from '@memplane/contracts';
import { isEventRow, offsetAtEnd, prefixRange, ShardKeys } from '../domain/keys.ts';
import {
  canonicalJson,
  differingPaths,
  type EntityFold,
  type Projection,
  viewResult,
} from '../domain/replay.ts';
import { decodeHead, decodeHistory } from '../domain/rows.ts';
import { decodeShard } from '../domain/shard-record.ts';
import type { Attributes, MemoryView } from '../domain/state.ts';
import { liveViews } from '../reads/entity.ts';
import type { ViewReader } from './view-reader.ts';
import { shardKey } from './view-store.ts';

export interface ReplaySettings {
  /** Events that one replay may read. */
  readonly replay_events_max: number;
  /** Entities that an answer shows, of the result and of the difference each. */
  readonly replay_result_entities_max: number;
  /** Bytes of JSON that an answer shows, of the result and of the difference each. */
  readonly replay_result_bytes_max: number;
}

/** A range of one partition, both ends inclusive. */
export interface ReplayRange {
  readonly partition: number;
  /** Events before it are still there only for the memories that they brought. */
  readonly historyStart: number;
  readonly first: number;
  readonly last: number;
  /** Only these entities, in order; absent: all. */
  readonly entities?: readonly string[];
}

export interface ReplayPlan {
  readonly tenant: string;
  readonly projection: Projection;
  readonly types: ReadonlySet<string> | undefined;
  /** When `ttl` is judged. */
  readonly timeMs: number;
}

export interface ReplayOutcome {
  readonly digest: string;
  readonly result: NonNullable<Replay['result']>;
  readonly difference: NonNullable<Replay['difference']>;
}

/** What came out of one range; JSON, since another instance may have run it. */
export interface RangeOutcome {
  readonly partition: number;
  readonly digest: string;
  readonly read: number;
  readonly folded: number;
  readonly entities: number;
  /** Entities that are left out since they were erased. */
  readonly erased: number;
  readonly equal: number;
  readonly different: number;
  readonly totals: readonly (readonly [name: string, total: number])[];
  readonly result: ExcerptOf<ResultItem>;
  readonly difference: ExcerptOf<DifferenceItem>;
}

type ResultItem = ReplayOutcome['result']['entities'][number];
type DifferenceItem = ReplayOutcome['difference']['entities'][number];

/** How far a replay is. */
export interface ReplayCounts {
  read: number;
  folded: number;
}

/**
 * Folds the selected events of one range anew, entity by entity, from the history in one snapshot of
 * the store: it writes nothing, and holds the state of one entity at a time.
 */
export class ReplayRun {
  readonly #plan: ReplayPlan;
  readonly #settings: ReplaySettings;
  readonly #reader: ViewReader;
  readonly #signal: AbortSignal;
  readonly #counts: ReplayCounts;
  readonly #hash = createHash('sha256');
  readonly #totals = new Map<string, number>();
  readonly #result: Excerpt<ResultItem>;
  readonly #difference: Excerpt<DifferenceItem>;
  #entities = 0;
  #erased = 0;
  #equal = 0;
  #different = 0;
  #read = 0;
  #folded = 0;

  /** @param counts of all ranges of the replay that are run here, counted on */
  constructor(
    plan: ReplayPlan,
    settings: ReplaySettings,
    scope: { reader: ViewReader; signal: AbortSignal; counts: ReplayCounts },
  ) {
    this.#plan = plan;
    this.#settings = settings;
    this.#reader = scope.reader;
    this.#signal = scope.signal;
    this.#counts = scope.counts;
    this.#result = new Excerpt(settings);
    this.#difference = new Excerpt(settings);
  }

  async run(range: ReplayRange): Promise<RangeOutcome> {
    const { partition, entities } = range;
    const keys = new ShardKeys(this.#plan.tenant, partition);
    if (entities === undefined) await this.#scan(keys, range, prefixRange(keys.table('v')));
    else {
      for (const entity of entities) {
        await this.#scan(keys, range, prefixRange(keys.histories(entity)));
      }
    }
    return {
      partition,
      digest: this.#hash.digest('base64url'),
      read: this.#read,
      folded: this.#folded,
      entities: this.#entities,
      erased: this.#erased,
      equal: this.#equal,
      different: this.#different,
      totals: [...this.#totals],
      result: this.#result.taken(),
      difference: this.#difference.taken(),
    };
  }

  async #scan(
    keys: ShardKeys,
    { historyStart, first, last }: ReplayRange,
    bounds: { gte: Buffer; lt: Buffer },
  ): Promise<void> {
    const start = keys.table('v').length;
    let current:
      | (FoldedEntity & { fold: EntityFold; whole: EntityFold; folded: number; last: number })
      | undefined;
    const hasErasures = await this.#hasErasures(keys.partition);
    for await (const rows of this.#reader.rocks.scan({
      ...bounds,
      snapshot: this.#reader.snapshot,
    })) {
      this.#signal.throwIfAborted();
      for (const { key, value } of rows) {
        if (!isEventRow(key)) continue;
        const offset = offsetAtEnd(key, 1);
        if (offset < historyStart) continue;
        const entity = key.toString('latin1', start, key.length - 8);
        if (current?.entity !== entity) {
          if (current) await this.#finish(keys, current);
          const { projection } = this.#plan;
          const erasures = hasErasures ? await this.#reader.erasedAt(keys, [entity]) : [];
          const [fold, whole] = [projection.begin(), projection.begin()];
          current = { entity, erasedAt: erasures[0] ?? -1, fold, whole, folded: 0, last: -1 };
        }
        current.last = offset;
        if (offset < current.erasedAt) continue;
        this.#count();
        const { rejected, sequence, event: json } = decodeHistory(value);
        if (rejected) continue;
        const event = JSON.parse(json.toString()) as CloudEvent;
        const logEvent = { offset, hlc: parseHlc(event.hlc), event, sequence };
        if (this.#plan.projection.name !== 'view') current.whole.apply(logEvent);
        if (offset < first || offset > last) continue;
        if (this.#plan.types !== undefined && !this.#plan.types.has(event.type)) continue;
        current.fold.apply(logEvent);
        current.folded++;
        this.#folded++;
        this.#counts.folded++;
      }
    }
    if (current) await this.#finish(keys, current);
  }

  #count(): void {
    this.#read++;
    this.#counts.read++;
    const { replay_events_max: max } = this.#settings;
    if (this.#counts.read <= max) return;
    throw new MemplaneError('overloaded', `A replay may read ${max} events; ask for fewer.`, {
      extra: { limit: 'replay_events_max', max },
    });
  }

  /** One entity is folded: into the digest, the result and the difference. */
  async #finish(
    keys: ShardKeys,
    current: FoldedEntity & { fold: EntityFold; whole: EntityFold },
  ): Promise<void> {
    const { entity, erasedAt, last, fold, folded } = current;
    const { projection, timeMs } = this.#plan;
    if (erasedAt >= 0 && last <= erasedAt) {
      this.#erased++;
      return;
    }
    if (folded === 0) return;
    this.#entities++;
    this.#hash.update(`${keys.tenant} ${entity}\n${canonicalJson(fold.result())}\n`);
    const result = fold.result(timeMs);
    projection.sum?.(this.#totals, result);
    this.#result.add({ entity, result });
    const live =
      projection.name === 'view'
        ? await this.#liveView(keys, entity)
        : current.whole.result(timeMs);
    if (canonicalJson(live) === canonicalJson(result)) this.#equal++;
    else {
      this.#different++;
      const paths = differingPaths(result, live);
      this.#difference.add({ entity, paths, replayed: result, live });
    }
  }

  async #hasErasures(partition: number): Promise<boolean> {
    const row = await this.#reader.rocks.get(shardKey(partition), this.#reader.snapshot);
    return row !== null && decodeShard(row).erasures !== undefined;
  }

  async #liveView(keys: ShardKeys, entity: string): Promise<Json> {
    const row = await this.#reader.get(keys.head(entity));
    if (row === null) return null;
    const head = decodeHead(row);
    const rows =
      head.memoryCount === 0 ? [] : await this.#reader.memories(keys, entity, head.memoryCount);
    const memories = rows.map(({ json }) => JSON.parse(json.toString()) as MemoryView);
    const attributes = JSON.parse(head.attributes.toString()) as Attributes;
    return viewResult(attributes, liveViews(memories, this.#plan.timeMs), head.sequence);
  }
}

interface FoldedEntity {
  readonly entity: string;
  /** The offset of its newest erasure; -1: there was none. */
  readonly erasedAt: number;
  /** The offset of its newest event that is there. */
  readonly last: number;
  readonly folded: number;
}

/**
 * One outcome of those of all ranges, in the order of partitions: the same whichever instances ran
 * them.
 */
export function joinOutcomes(
  projection: Projection,
  ranges: readonly RangeOutcome[],
  settings: ReplaySettings,
): ReplayOutcome {
  const hash = createHash('sha256').update(`replay 2 ${projection.name}\n`);
  const totals = new Map<string, number>();
  const result = new Excerpt<ResultItem>(settings);
  const difference = new Excerpt<DifferenceItem>(settings);
  const sum = (of: (range: RangeOutcome) => number) => ranges.reduce((n, one) => n + of(one), 0);
  for (const range of [...ranges].sort((a, b) => a.partition - b.partition)) {
    if (range.entities > 0) hash.update(`${range.partition} ${range.digest}\n`);
    for (const [name, total] of range.totals) totals.set(name, (totals.get(name) ?? 0) + total);
    result.append(range.result);
    difference.append(range.difference);
  }
  const erased = sum((range) => range.erased);
  const sorted = [...totals].sort(([a], [b]) => (a < b ? -1 : 1));
  return {
    digest: hash.digest('base64url'),
    result: {
      entitiesTotal: sum((range) => range.entities),
      ...(erased === 0 ? {} : { erased }),
      entities: result.taken().items,
      truncated: result.taken().truncated,
      ...(projection.sum === undefined ? {} : { totals: Object.fromEntries(sorted) }),
    },
    difference: {
      equal: sum((range) => range.equal),
      different: sum((range) => range.different),
      entities: difference.taken().items,
      truncated: difference.taken().truncated,
    },
  };
}

interface ExcerptOf<Item> {
  readonly items: Item[];
  readonly truncated: boolean;
}

/** The first items, as many as fit. */
class Excerpt<Item> {
  readonly #settings: ReplaySettings;
  readonly #items: Item[] = [];
  #truncated = false;
  #bytes = 0;

  constructor(settings: ReplaySettings) {
    this.#settings = settings;
  }

  add(item: Item): void {
    if (this.#truncated) return;
    const { replay_result_entities_max: itemsMax, replay_result_bytes_max: bytesMax } =
      this.#settings;
    this.#bytes += JSON.stringify(item).length;
    if (this.#items.length >= itemsMax || this.#bytes > bytesMax) this.#truncated = true;
    else this.#items.push(item);
  }

  append({ items, truncated }: ExcerptOf<Item>): void {
    for (const item of items) this.add(item);
    this.#truncated ||= truncated;
  }

  taken(): ExcerptOf<Item> {
    return { items: this.#items, truncated: this.#truncated };
  }
}
