import { partitionKey } from '@memplane/contracts';
import { type LogInfo, type LogReader, partitionOf } from '@memplane/event-log';
import type { Context as TraceContext } from '@opentelemetry/api';
import { ShardKeys } from '../domain/keys.ts';
import { ViewReader } from '../drivers/view-reader.ts';
import type { ViewStore } from '../drivers/view-store.ts';
import type { Peers } from '../peers.ts';
import type { ShardSet } from '../shard-set.ts';
import type { KnownPast } from './known-past.ts';

export interface ReadSettings {
  readonly time_cut_settle_ms: number;
  readonly query_scan_rows_max: number;
  readonly trace_nodes_max: number;
}

/** What reads work on. */
export interface Plane {
  readonly log: LogReader;
  readonly store: ViewStore;
  readonly shards: ShardSet;
  /** Absent where nothing of the past is kept in memory. */
  readonly known?: KnownPast;
  /** The other instances; absent where this one owns everything. */
  readonly peers?: Peers | undefined;
  readonly settings: ReadSettings;
  /** Wall clock, ms since 1970. */
  readonly now: () => number;
}

/** The keys of an entity's shard. */
export function keysOf(info: LogInfo, tenant: string, entity: string): ShardKeys {
  return new ShardKeys(tenant, partitionOf(partitionKey(tenant, entity), info.partitions));
}

/** Runs a read in one snapshot of the store. */
export function inSnapshot<T>(plane: Plane, work: (reader: ViewReader) => Promise<T>): Promise<T> {
  return plane.store.read((rocks, snapshot) => work(new ViewReader(rocks, snapshot)));
}

/** How long a read may wait, and for whom. */
export interface Waiting {
  /** On the clock of `performance.now()`. */
  readonly deadline: number;
  readonly signal: AbortSignal;
  /** The trace that the read belongs to. */
  readonly trace?: TraceContext | undefined;
}
