import type { Core } from './core.ts';
import type { CallOptions } from './http.ts';

/** A replica of the counters, sets and registers, as the one that was asked sees it. */
export interface ReplicaMember {
  readonly replica: string;
  /** Whether it is the one that was asked. */
  readonly self: boolean;
  readonly state: 'alive' | 'suspect' | 'dead' | 'left';
  /** Empty until it was heard. */
  readonly incarnation: string;
  /** Of its own view; 0 until it was heard. */
  readonly viewVersion: number;
  /** These are known in a cluster only. */
  readonly address?: string;
  readonly replicaSet?: boolean;
  /** Milliseconds since its last heartbeat. */
  readonly heardMs?: number;
}

/** Of which replicas quorums are majorities. */
export interface ReplicaSet {
  /** Counts up with each change; 0 where it is what the settings say, or not known yet. */
  readonly version: number;
  readonly replicas: readonly string[];
  readonly known: boolean;
  /** Whether the last change is over, so that there may be another one. */
  readonly settled: boolean;
  /** Who has not confirmed that change. */
  readonly unconfirmed: readonly string[];
}

export interface ReplicaMembers {
  /** Raised whenever that replica sees the membership change. */
  readonly viewVersion: number;
  /** How many replicas a quorum read needs. */
  readonly quorum: number;
  /** Absent where the replica that was asked is of an earlier version. */
  readonly replicaSet?: ReplicaSet;
  readonly members: readonly ReplicaMember[];
}

/** What an operator should look at. */
export interface ReplicaAlert {
  readonly time: string;
  readonly code: string;
  readonly detail: string;
  readonly subject?: string;
  readonly count: number;
  /** Present once what it is about is well again. */
  readonly clearedAt?: string;
}

export async function listMembers(core: Core, options: CallOptions): Promise<ReplicaMembers> {
  return (await read(core, '/v1/members', options)) as ReplicaMembers;
}

/** Newest first. */
export async function listAlerts(core: Core, options: CallOptions): Promise<ReplicaAlert[]> {
  const { alerts } = (await read(core, '/v1/alerts', options)) as { alerts: ReplicaAlert[] };
  return alerts;
}

function read(core: Core, path: string, options: CallOptions): Promise<unknown> {
  return core.http.json({
    ...options,
    service: 'crdt-sync',
    method: 'GET',
    path,
    repeat: 'always',
  });
}
