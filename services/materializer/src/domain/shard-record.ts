import { formatHlc, parseHlc } from '@memplane/clock';
import { DEFAULT_TENANT } from '@memplane/contracts';
import { UnreadableRowError } from './rows.ts';
import type { StoredOfTenants } from './stored-counts.ts';

/** What a shard knows of itself; written with every batch. */
export interface ShardRecord {
  readonly logId: string;
  readonly epoch: number;
  /** The last offset applied; -1: none. */
  readonly applied: number;
  /** The newest stamp up to there. */
  readonly maxHlc: bigint;
  /** Derived counters: functions of the log up to `applied`. */
  readonly eventsTotal: number;
  readonly activeSessions: number;
  /** The parts of them that tenants other than `default` have; absent: none. */
  readonly ofTenants?: Readonly<Record<string, TenantCounts>>;
  readonly duplicates: number;
  readonly rejected: number;
  /** The first offset whose history can be read. */
  readonly historyStart: number;
  /** Erasures that were applied; absent: none. */
  readonly erasures?: number;
  /** What tenants have stored, counted up to `applied`; else it is to be counted anew. */
  readonly stored?: { readonly applied: number; readonly ofTenants: StoredOfTenants };
  /** Those that have rows in the shard. */
  readonly tenants: readonly string[];
  /** A split of it is under way, and it must not be opened; absent: none is. */
  readonly splitting?: Splitting;
}

/** How far the split of a shard has come; written with what moves. */
export interface Splitting {
  readonly child: number;
  /** Of the row that was looked at last, whose key (as Latin-1) begins with the tenant. */
  readonly tenant: string;
  readonly key: string;
  readonly moved: MovedCounts;
}

/** Of a shard's counts those that have moved to its child. */
export interface MovedCounts {
  readonly ofTenants: Readonly<Record<string, TenantCounts>>;
  readonly erasures: number;
}

export const NOTHING_MOVED: MovedCounts = { ofTenants: {}, erasures: 0 };

export interface TenantCounts {
  readonly eventsTotal: number;
  readonly activeSessions: number;
}

export const NO_COUNTS: TenantCounts = { eventsTotal: 0, activeSessions: 0 };

/** What a tenant has of the derived counters. */
export function countsOf(record: ShardRecord, tenant: string): TenantCounts {
  const { ofTenants = {} } = record;
  if (tenant !== DEFAULT_TENANT) {
    return (Object.hasOwn(ofTenants, tenant) ? ofTenants[tenant] : undefined) ?? NO_COUNTS;
  }
  let { eventsTotal, activeSessions } = record;
  for (const others of Object.values(ofTenants)) {
    eventsTotal -= others.eventsTotal;
    activeSessions -= others.activeSessions;
  }
  return { eventsTotal, activeSessions };
}

export function emptyShard(logId: string, epoch: number): ShardRecord {
  return {
    logId,
    epoch,
    applied: -1,
    maxHlc: 0n,
    eventsTotal: 0,
    activeSessions: 0,
    duplicates: 0,
    rejected: 0,
    historyStart: 0,
    tenants: [],
  };
}

const VERSION = 1;

export function encodeShard(record: ShardRecord): Buffer {
  return Buffer.from(
    JSON.stringify({ version: VERSION, keyId: 0, ...record, maxHlc: formatHlc(record.maxHlc) }),
  );
}

export function decodeShard(row: Buffer): ShardRecord {
  const { version, keyId, maxHlc, ...rest } = JSON.parse(row.toString()) as Omit<
    ShardRecord,
    'maxHlc'
  > & { version: number; keyId: number; maxHlc: string };
  if (version !== VERSION || keyId !== 0) {
    throw new UnreadableRowError(`a shard record has format ${version}, key id ${keyId}`);
  }
  return { ...rest, maxHlc: parseHlc(maxHlc) };
}
