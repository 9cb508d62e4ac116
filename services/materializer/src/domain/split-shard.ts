import { DEFAULT_TENANT, partitionKey } from '@memplane/contracts';
import { isForeign } from '@memplane/event-log';
import { PLANE } from './keys.ts';
import { RowPartitioner } from './row-entity.ts';
import { decodeHead } from './rows.ts';
import {
  countsOf,
  type MovedCounts,
  NOTHING_MOVED,
  type ShardRecord,
  type TenantCounts,
} from './shard-record.ts';
import { readTimeline, TimelineWriter } from './timeline.ts';

/** A shard that becomes two: `partition` keeps what stays, `child` gets what moves. */
export interface Split {
  readonly partition: number;
  readonly child: number;
  /** How many partitions the log has after this doubling. */
  readonly partitions: number;
}

/** One row of the shard before the split. */
export interface SplitRow {
  readonly key: Buffer;
  readonly value: Buffer;
}

/** What becomes of a row; absent: not there. A row that stays as it is has the very same value. */
export interface RowFate {
  readonly inParent?: Buffer;
  readonly inChild?: Buffer;
}

const HEADS = 'h'.charCodeAt(0);
const ERASURES = 'z'.charCodeAt(0);

/**
 * Decides what of a shard becomes its child's. Every row is a function of the log up to what the
 * shard has applied, so after the split both are what they would be had they been apart from the
 * start: of the other's records they know the offset and the stamp, and nothing else.
 */
export class ShardSplit {
  readonly #split: Split;
  readonly #rows: RowPartitioner;
  /** Of what has moved, by tenant. */
  readonly #moved: Map<string, { eventsTotal: number; activeSessions: number }>;
  #erasures: number;

  /** @param before what has moved already */
  constructor(split: Split, before: MovedCounts = NOTHING_MOVED) {
    this.#split = split;
    this.#rows = new RowPartitioner(split.partitions);
    this.#moved = new Map(Object.entries(before.ofTenants).map(([of, it]) => [of, { ...it }]));
    this.#erasures = before.erasures;
  }

  /** Whether a tenant's row moves; then it is counted. */
  moves(tenant: string, { key, value }: SplitRow): boolean {
    if (this.#rows.partitionOf(tenant, key) === this.#split.partition) return false;
    this.#count(tenant, key[tenant.length + 3] ?? 0, value);
    return true;
  }

  /** What becomes of a row of {@link PLANE}. */
  fateOfOwn({ key, value }: SplitRow): RowFate {
    const at = PLANE.length + 3;
    const table = String.fromCharCode(key[at] ?? 0);
    return this.#ownRow(table, key.toString('latin1', at + 1), value);
  }

  /** What has moved so far. */
  get moved(): MovedCounts {
    return { ofTenants: Object.fromEntries(this.#moved), erasures: this.#erasures };
  }

  /** The records of the two, from the one of before. */
  finish(before: ShardRecord): { readonly parent: ShardRecord; readonly child: ShardRecord } {
    // What is stored is counted anew, from the heads that each has, when they are opened.
    const { epoch: _, erasures, ofTenants: __, splitting: ___, stored: ____, ...rest } = before;
    const common = { ...rest, epoch: before.epoch + 1 };
    const left = before.tenants.map((tenant): [string, TenantCounts] => {
      const moved = this.#moved.get(tenant);
      const { eventsTotal, activeSessions } = countsOf(before, tenant);
      return [
        tenant,
        {
          eventsTotal: eventsTotal - (moved?.eventsTotal ?? 0),
          activeSessions: activeSessions - (moved?.activeSessions ?? 0),
        },
      ];
    });
    return {
      parent: {
        ...common,
        ...totals(left),
        ...(erasures === undefined ? {} : { erasures }),
      },
      child: {
        ...common,
        ...totals([...this.#moved]),
        tenants: [...this.#moved.keys()],
        // Nobody remembers whose they were: they stay counted once.
        duplicates: 0,
        rejected: 0,
        ...(this.#erasures === 0 ? {} : { erasures: this.#erasures }),
      },
    };
  }

  #moves(key: string): boolean {
    const { partition, partitions } = this.#split;
    return isForeign(key, partition, partitions);
  }

  #count(tenant: string, table: number, value: Buffer): void {
    let moved = this.#moved.get(tenant);
    if (moved === undefined) {
      moved = { eventsTotal: 0, activeSessions: 0 };
      this.#moved.set(tenant, moved);
    }
    if (table === ERASURES) this.#erasures++;
    if (table !== HEADS) return;
    const { sequence, sessionActive } = decodeHead(value);
    moved.eventsTotal += sequence;
    if (sessionActive) moved.activeSessions++;
  }

  /** Rows of the shard itself. Its record is written apart, see {@link finish}. */
  #ownRow(table: string, rest: string, value: Buffer): RowFate {
    switch (table) {
      case 's':
        return { inParent: value };
      case 'q': {
        const [tenant = '', entity = ''] = rest.split('\x00');
        const moves = this.#moves(partitionKey(tenant, entity));
        return moves ? { inChild: value } : { inParent: value };
      }
      case 'b':
        return {
          inParent: this.#timelineOf(value, (key) => !this.#moves(key)),
          inChild: this.#timelineOf(value, (key) => this.#moves(key)),
        };
      default: // stamps, what is published, how far the past is removed: true of both
        return { inParent: value, inChild: value };
    }
  }

  /** A batch in which what the other has changed no entity. */
  #timelineOf(row: Buffer, isOwn: (key: string) => boolean): Buffer {
    const writer = new TimelineWriter();
    let isSame = true;
    for (const { offset, maxHlc, key } of readTimeline(row)) {
      const kept = key === '' || isOwn(key);
      if (!kept) isSame = false;
      writer.add(offset, maxHlc, kept ? key : '');
    }
    return isSame ? row : writer.finish();
  }
}

function totals(
  all: readonly (readonly [string, TenantCounts])[],
): Pick<ShardRecord, 'eventsTotal' | 'activeSessions' | 'ofTenants'> {
  const others = all.filter(
    ([tenant, { eventsTotal }]) => tenant !== DEFAULT_TENANT && eventsTotal > 0,
  );
  const sum = (of: keyof TenantCounts) => all.reduce((n, [, counts]) => n + counts[of], 0);
  return {
    eventsTotal: sum('eventsTotal'),
    activeSessions: sum('activeSessions'),
    ...(others.length === 0 ? {} : { ofTenants: Object.fromEntries(others) }),
  };
}

/** A row's key in another shard: all keys have the partition behind the tenant. */
export function keyIn(partition: number, tenant: string, key: Buffer): Buffer {
  const moved = Buffer.from(key);
  moved.writeUInt16BE(partition, tenant.length + 1);
  return moved;
}
