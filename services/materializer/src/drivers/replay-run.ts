import { createHash } from 'node:crypto';
import { parseHlc } from '@memplane/clock';
import { type CloudEvent, type Json, MemplaneError, type Replay } from '@memplane/contracts';
import { EVENT_KIND, prefixRange, type ShardKeys } from '../domain/keys.ts';
import {
  canonicalJson,
  differingPaths,
  type EntityFold,
  type Projection,
  viewResult,
} from '../domain/replay.ts';
import { decodeHead, decodeHistory } from '../domain/rows.ts';
import type { Attributes, MemoryView } from '../domain/state.ts';
import { liveViews } from '../reads/entity.ts';
import type { ViewReader } from './view-reader.ts';

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
  readonly keys: ShardKeys;
  /** Events before it are still there only for the memories that they brought. */
  readonly historyStart: number;
  readonly first: number;
  readonly last: number;
  /** Only these entities, in order; absent: all. */
  readonly entities?: readonly string[];
}

export interface ReplayPlan {
  readonly projection: Projection;
  readonly types: ReadonlySet<string> | undefined;
  readonly ranges: readonly ReplayRange[];
  /** When `ttl` is judged. */
  readonly timeMs: number;
}

export interface ReplayOutcome {
  readonly digest: string;
  readonly result: NonNullable<Replay['result']>;
  readonly difference: NonNullable<Replay['difference']>;
}

/**
 * Folds the selected events anew, entity by entity, from the history in one snapshot of the store:
 * it writes nothing, and holds the state of one entity at a time.
 */
export class ReplayRun {
  readonly #plan: ReplayPlan;
  readonly #settings: ReplaySettings;
  readonly #reader: ViewReader;
  readonly #signal: AbortSignal;
  readonly #hash = createHash('sha256');
  readonly #totals = new Map<string, number>();
  readonly #result = new Excerpt<ReplayOutcome['result']['entities'][number]>();
  readonly #difference = new Excerpt<ReplayOutcome['difference']['entities'][number]>();
  #entities = 0;
  #equal = 0;
  #different = 0;
  read = 0;
  folded = 0;

  constructor(plan: ReplayPlan, settings: ReplaySettings, reader: ViewReader, signal: AbortSignal) {
    this.#plan = plan;
    this.#settings = settings;
    this.#reader = reader;
    this.#signal = signal;
  }

  async run(): Promise<ReplayOutcome> {
    this.#hash.update(`replay 1 ${this.#plan.projection.name}\n`);
    for (const range of this.#plan.ranges) {
      const { keys, entities } = range;
      if (entities === undefined) await this.#scan(range, prefixRange(keys.table('v')));
      else {
        for (const entity of entities) {
          await this.#scan(range, prefixRange(keys.histories(entity)));
        }
      }
    }
    return this.#outcome();
  }

  async #scan(range: ReplayRange, bounds: { gte: Buffer; lt: Buffer }): Promise<void> {
    const { keys, historyStart, first, last } = range;
    const start = keys.table('v').length;
    let current:
      | { entity: string; fold: EntityFold; whole: EntityFold; folded: number }
      | undefined;
    for await (const rows of this.#reader.rocks.scan({
      ...bounds,
      snapshot: this.#reader.snapshot,
    })) {
      this.#signal.throwIfAborted();
      for (const { key, value } of rows) {
        if (key[key.length - 1] !== EVENT_KIND.charCodeAt(0)) continue;
        const offset = key.readUIntBE(key.length - 7, 6);
        if (offset < historyStart) continue;
        const entity = key.toString('latin1', start, key.length - 8);
        if (current?.entity !== entity) {
          if (current) await this.#finish(keys, current);
          const { projection } = this.#plan;
          current = { entity, fold: projection.begin(), whole: projection.begin(), folded: 0 };
        }
        this.#count();
        const { rejected, event: json } = decodeHistory(value);
        if (rejected) continue;
        const event = JSON.parse(json.toString()) as CloudEvent;
        const logEvent = { offset, hlc: parseHlc(event.hlc), event };
        if (this.#plan.projection.name !== 'view') current.whole.apply(logEvent);
        if (offset < first || offset > last) continue;
        if (this.#plan.types !== undefined && !this.#plan.types.has(event.type)) continue;
        current.fold.apply(logEvent);
        current.folded++;
        this.folded++;
      }
    }
    if (current) await this.#finish(keys, current);
  }

  #count(): void {
    this.read++;
    const { replay_events_max: max } = this.#settings;
    if (this.read <= max) return;
    throw new MemplaneError('overloaded', `A replay may read ${max} events; ask for fewer.`, {
      extra: { limit: 'replay_events_max', max },
    });
  }

  /** One entity is folded: into the digest, the result and the difference. */
  async #finish(
    keys: ShardKeys,
    current: { entity: string; fold: EntityFold; whole: EntityFold; folded: number },
  ): Promise<void> {
    const { entity, fold, folded } = current;
    const { projection, timeMs } = this.#plan;
    if (folded === 0) return;
    this.#entities++;
    this.#hash.update(`${keys.tenant} ${entity}\n${canonicalJson(fold.result())}\n`);
    const result = fold.result(timeMs);
    projection.sum?.(this.#totals, result);
    this.#result.add({ entity, result }, this.#settings);
    const live =
      projection.name === 'view'
        ? await this.#liveView(keys, entity)
        : current.whole.result(timeMs);
    if (canonicalJson(live) === canonicalJson(result)) this.#equal++;
    else {
      this.#different++;
      const paths = differingPaths(result, live);
      this.#difference.add({ entity, paths, replayed: result, live }, this.#settings);
    }
  }

  async #liveView(keys: ShardKeys, entity: string): Promise<Json> {
    const row = await this.#reader.get(keys.head(entity));
    if (row === null) return null;
    const head = decodeHead(row);
    const rows = head.memoryCount === 0 ? [] : await this.#reader.memories(keys, entity);
    const memories = rows.map(({ json }) => JSON.parse(json.toString()) as MemoryView);
    const attributes = JSON.parse(head.attributes.toString()) as Attributes;
    return viewResult(attributes, liveViews(memories, this.#plan.timeMs), head.sequence);
  }

  #outcome(): ReplayOutcome {
    const sums = this.#plan.projection.sum !== undefined;
    const totals = [...this.#totals].sort(([a], [b]) => (a < b ? -1 : 1));
    return {
      digest: this.#hash.digest('base64url'),
      result: {
        entitiesTotal: this.#entities,
        entities: this.#result.items,
        truncated: this.#result.truncated,
        ...(sums ? { totals: Object.fromEntries(totals) } : {}),
      },
      difference: {
        equal: this.#equal,
        different: this.#different,
        entities: this.#difference.items,
        truncated: this.#difference.truncated,
      },
    };
  }
}

/** The first items, as many as fit. */
class Excerpt<Item> {
  readonly items: Item[] = [];
  truncated = false;
  #bytes = 0;

  add(item: Item, settings: ReplaySettings): void {
    if (this.truncated) return;
    this.#bytes += JSON.stringify(item).length;
    const full = this.items.length >= settings.replay_result_entities_max;
    if (full || this.#bytes > settings.replay_result_bytes_max) this.truncated = true;
    else this.items.push(item);
  }
}
