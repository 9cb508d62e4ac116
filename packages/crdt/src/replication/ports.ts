import type { DecodeLimits } from '../bounded-cbor.ts';
import type { Incarnation } from '../dot.ts';
import type { Lattice } from '../lattice.ts';
import type { CommitRange } from '../replica-delta.ts';
import type { ReadonlyVector } from './vector.ts';

/** What a `Replication` is given by its host. */
export interface ReplicationPorts<S> {
  /** Milliseconds on a monotonic clock. */
  now(): number;
  /** All replicas that may lack something, or come back and lack it, but for this one. */
  peers(): readonly string[];
  /** Those of them that can be reached as far as is known. */
  live(): readonly string[];
  /** The incarnation that is committed under here. */
  own(): Incarnation;
  /** May lose it. */
  send(to: string, message: Uint8Array): void;
  /** All that is joined in here; never ahead of the state. */
  readonly known: ReadonlyVector;
  /**
   * Joins in what others have committed. `done(true)` once it is as durable as a commit here and
   * `known` has the ranges; `done(false)` when it failed. Called exactly once.
   */
  join(delta: S, ranges: readonly CommitRange[], done: (isJoined: boolean) => void): void;
  /** A peer has told what it has. */
  heard?(from: string): void;
  /**
   * Compares the whole state with a peer's, takes over what is missing, and tells of it with
   * `tookOver`; then calls `done`. The vector that is taken over is the peer's from before; all that
   * it gave must be of one life of it, since a later one may have lost what the vector speaks of,
   * and durable there, since it may be ahead of that vector and no other has it.
   */
  compare(peer: string, done: () => void): void;
}

export interface ReplicationOptions<S> {
  readonly ports: ReplicationPorts<S>;
  readonly lattice: Lattice<S>;
  readonly encode: (delta: S) => Uint8Array;
  /** Must bound and check what it reads. */
  readonly decode: (bytes: Uint8Array, limits?: DecodeLimits) => S;
  /** Names this life: higher at each start, and after each loss of state. */
  readonly life: number;
  readonly settings: ReplicationSettings;
}

export interface ReplicationSettings {
  /** A vector is told at least so often, so that whatever was lost on the way mends. */
  readonly vectorIntervalMs: number;
  /** The same while a peer, as far as is known, does not have the same. */
  readonly apartIntervalMs: number;
  /** Commits of others are passed on after this; their own replicas send them at once. */
  readonly passOnDelayMs: number;
  /** What was sent and not acknowledged is sent again after this. */
  readonly resendMs: number;
  /** What a peer has and did not come within this is fetched by comparing states. */
  readonly compareDelayMs: number;
  /** Of one message's delta, but for a commit that is larger by itself. */
  readonly message_bytes_max: number;
  /** Of one commit's delta; a larger one is fetched by comparing states. */
  readonly delta_bytes_max: number;
  readonly log_entries_max: number;
  readonly log_bytes_max: number;
  /** Deltas that are being joined in at once; more are dropped, and come again. */
  readonly joins_max: number;
  /** How long deltas that came before their causes wait for them; then they are refused. */
  readonly parkedMs: number;
  /** Deltas that came before their causes; the oldest are dropped, and come again. */
  readonly parked_max: number;
}

/** Live figures; read them, don't write them. */
export interface ReplicationStats {
  deltasSent: number;
  /** Of deltas alone, without what they are wrapped in. */
  deltaBytesSent: number;
  deltasJoined: number;
  /** Deltas that had to be refused, or were known already. */
  deltasRefused: number;
  deltasKnown: number;
  vectorsSent: number;
  vectorBytesSent: number;
  comparisons: number;
  /** What could not be read. */
  malformed: number;
}

export function newStats(): ReplicationStats {
  return {
    deltasSent: 0,
    deltaBytesSent: 0,
    deltasJoined: 0,
    deltasRefused: 0,
    deltasKnown: 0,
    vectorsSent: 0,
    vectorBytesSent: 0,
    comparisons: 0,
    malformed: 0,
  };
}
