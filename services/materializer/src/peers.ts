import type { FeedSelection } from '@memplane/contracts';
import type { Waiting } from './reads/plane.ts';

/** A part of a read, as another instance is asked for it. */
export interface PartCall {
  readonly part: string;
  readonly query: unknown;
  readonly partitions: readonly number[];
  readonly wait: Waiting;
  /** The longest that it may take beyond the waiting. */
  readonly timeoutMs: number;
}

export interface PeerFeedRequest {
  readonly topic: string;
  /** Absent: of all tenants. */
  readonly tenant: string | undefined;
  readonly partition: number;
  /** Absent: where the feed begins. */
  readonly from: number | undefined;
  readonly retained: boolean;
  /** Absent: all. */
  readonly select: FeedSelection | undefined;
  readonly limit: number;
  readonly format: 'ndjson' | 'sse';
  readonly waitMs: number;
  readonly signal: AbortSignal;
}

/** The other instances of this service, each the owner of other partitions. */
export interface Peers {
  /** How this instance is called among them. */
  readonly self: string;
  /** All others that are members now, whether they own anything or not. */
  others(): Promise<readonly string[]>;
  /**
   * Partition → instance, as far as it is known; it may have changed since.
   * @param isFresh ask anew, since what is known has turned out wrong
   */
  owners(isFresh: boolean): Promise<ReadonlyMap<number, string>>;
  /**
   * Has another instance run a part.
   * @throws MemplaneError `owner_moving` when it does not own all of the partitions, or under an
   * earlier epoch than was seen before; `dependency_unavailable`; what the part throws
   */
  call(instance: string, call: PartCall): Promise<unknown>;
  /** The owner's feed, framed already; throws as `call` does. */
  feed(instance: string, request: PeerFeedRequest): Promise<AsyncIterable<Uint8Array>>;
  /** What a partition's owner was last seen to have applied; undefined: never heard of. */
  appliedOf(partition: number): number | undefined;
  /** This instance owns a partition now: none with an earlier epoch is asked any more. */
  saw(shard: {
    readonly partition: number;
    readonly epoch: number;
    readonly applied: number;
  }): void;
}
