import {
  type Claim,
  type CommitRange,
  decodeReplicaDelta,
  encodeReplicaDelta,
  type Incarnation,
  type ReadonlyVector,
  type ReplicaDelta,
  Replication,
  type ReplicationSettings,
  type ReplicationStats,
  replicaDeltaLattice,
  upToOf,
} from '@memplane/crdt';
import type { Cancel, Timers } from '@memplane/gossip';
import type { ReplicatedExecutor } from '../executor.ts';
import type { Comparing } from './comparing.ts';
import { Stability } from './stability.ts';

/** The other replicas. */
export interface Peers {
  live(): readonly string[];
  /** All that may come back. */
  expected(): readonly string[];
  send(to: string, bytes: Uint8Array): void;
}

export interface ReplicatorOptions {
  readonly executor: ReplicatedExecutor;
  readonly peers: Peers;
  readonly comparing: Comparing;
  readonly timers: Timers;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** Higher at each start, in milliseconds since 1970 where the clock is right. */
  readonly startEpoch: number;
  readonly syncIntervalMs: number;
  readonly settings: ReplicationSettings;
  /** Durable when it resolves. */
  readonly joinAll: (delta: ReplicaDelta, ranges: readonly CommitRange[]) => Promise<void>;
  readonly onFailure: (what: string, cause: unknown) => void;
  /** Told now and then who is expected, and when each told what it has durably. */
  readonly onSample?: (
    expected: readonly string[],
    toldMs: (id: string) => number | undefined,
  ) => void;
}

interface Waiting {
  readonly isThere: () => boolean;
  readonly resolve: () => void;
}

/** A start would need as many states in each millisecond for a later start to come out lower. */
const STATES_OF_A_START = 1_024;

/** Runs the replication of one replica: its rounds, its joins and its comparisons. */
export class Replicator {
  readonly #options: ReplicatorOptions;
  #replication: Replication<ReplicaDelta>;
  #states = 0;
  readonly #stability = new Stability();
  readonly #stopping = new AbortController();
  #waiting: Waiting[] = [];
  #cancel: Cancel | undefined;

  constructor(options: ReplicatorOptions) {
    this.#options = options;
    const { executor } = options;
    this.#replication = this.#begin();
    executor.onCommit = ({ incarnation, number, delta }) =>
      this.#replication.committed(incarnation, number, delta);
    executor.onFound = (ranges) => this.#replication.tookOver(ranges);
    executor.isStable = (claim, sinceMs) => this.#isStable(claim, sinceMs);
    executor.onNewState = () => {
      this.#states++;
      this.#replication = this.#begin();
    };
  }

  /** Names the present state in the present start: a later one is higher, over restarts too. */
  get life(): number {
    return this.#options.startEpoch * STATES_OF_A_START + this.#states;
  }

  get stats(): Readonly<ReplicationStats> {
    return this.#replication.stats;
  }

  /** Commits that others may still lack. */
  get log(): { readonly entries: number; readonly bytes: number } {
    return this.#replication.log;
  }

  start(): void {
    const { timers, syncIntervalMs } = this.#options;
    this.#cancel = timers.after(syncIntervalMs, () => {
      this.#replication.tick();
      this.#sample();
      if (!this.#stopping.signal.aborted) this.start();
    });
  }

  /**
   * Waits until each replica that lives has what was committed here, so that one that leaves takes
   * nothing with it. @returns whether they have; false once the signal aborts
   */
  async handOver(signal: AbortSignal): Promise<boolean> {
    const { executor, peers } = this.#options;
    const live = peers.live();
    return this.#confirmed(new Map(executor.known), live, live.length, signal);
  }

  stop(): void {
    this.#cancel?.();
    this.#stopping.abort();
    this.#options.executor.onCommit = undefined;
    this.#options.executor.onFound = undefined;
    this.#options.executor.onNewState = undefined;
  }

  receive(from: string, bytes: Uint8Array): void {
    if (!this.#stopping.signal.aborted) this.#replication.receive(from, bytes);
  }

  /** Whoever comes back after the end of this process may have counted what is forgotten. */
  #isStable(claim: Claim, sinceMs: number): boolean {
    const { executor, peers } = this.#options;
    const isHere = (executor.known.get(claim.incarnation) ?? 0) >= claim.commit;
    return isHere && this.#stability.isStable(claim, sinceMs, peers.expected());
  }

  #sample(): void {
    const { now, peers, timers } = this.#options;
    const aheadMs = now() - timers.now();
    const expected = peers.expected();
    for (const id of expected) {
      const heard = this.#replication.heardOf(id);
      if (heard !== undefined) this.#stability.sample(id, { ...heard, atMs: heard.atMs + aheadMs });
    }
    this.#options.onSample?.(expected, (id) => this.#stability.toldMs(id));
  }

  /** A peer is reached again. */
  reachable(id: string): void {
    this.#replication.reachable(id);
  }

  /** A whole state was taken over, outside of the replication's own comparisons. */
  tookOver(ranges: readonly CommitRange[]): void {
    this.#replication.tookOver(ranges);
  }

  /**
   * Waits until `count` of these replicas, this one not among them, have a commit durably.
   * @returns whether they have; false once the signal aborts
   */
  async confirmed(
    commit: { readonly incarnation: Incarnation; readonly number: number },
    replicas: readonly string[],
    count: number,
    signal: AbortSignal,
  ): Promise<boolean> {
    const commits = new Map([[commit.incarnation, commit.number]]);
    return this.#confirmed(commits, replicas, count, signal);
  }

  async #confirmed(
    commits: ReadonlyVector,
    replicas: readonly string[],
    count: number,
    signal: AbortSignal,
  ): Promise<boolean> {
    const isThere = () => this.#replication.countWith(replicas, commits) >= count;
    if (isThere()) return true;
    this.#replication.sendNow();
    const { promise, resolve } = Promise.withResolvers<void>();
    const waiting = { isThere, resolve };
    this.#waiting.push(waiting);
    signal.addEventListener('abort', () => resolve(), { once: true });
    if (signal.aborted) resolve();
    await promise;
    this.#waiting = this.#waiting.filter((it) => it !== waiting);
    return isThere();
  }

  #settleWaiting(): void {
    for (const { isThere, resolve } of this.#waiting) if (isThere()) resolve();
  }

  #begin(): Replication<ReplicaDelta> {
    const { executor, peers, timers, settings } = this.#options;
    return new Replication<ReplicaDelta>({
      lattice: replicaDeltaLattice,
      encode: encodeReplicaDelta,
      decode: decodeReplicaDelta,
      life: this.life,
      settings,
      ports: {
        now: () => timers.now(),
        own: () => executor.incarnation,
        peers: () => peers.expected(),
        live: () => peers.live(),
        send: (to, bytes) => peers.send(to, bytes),
        known: executor.known,
        join: (delta, ranges, done) => void this.#join(delta, ranges).then(done),
        compare: (peer, done) => void this.#compare(peer).then(done),
        heard: () => this.#settleWaiting(),
      },
    });
  }

  async #join(delta: ReplicaDelta, ranges: readonly CommitRange[]): Promise<boolean> {
    const { executor, joinAll } = this.#options;
    const { life } = this;
    // It is joined name by name, and shows before all of it is here.
    executor.expect(upToOf(ranges));
    try {
      await joinAll(delta, ranges);
    } catch (cause) {
      this.#options.onFailure('what another replica has committed is not joined in', cause);
      return false;
    }
    if (this.#stopping.signal.aborted || life !== this.life) return false;
    executor.advance(ranges);
    return true;
  }

  /** Takes over what differs at a peer. @throws MemplaneError as `Comparing.catchUp` */
  async catchUp(peer: string): Promise<void> {
    // Of the state that it began in; another one has a replication of its own.
    const replication = this.#replication;
    const { ranges } = await this.#options.comparing.catchUp(peer, this.#stopping.signal);
    replication.tookOver(ranges);
  }

  async #compare(peer: string): Promise<void> {
    const { onFailure } = this.#options;
    try {
      await this.catchUp(peer);
    } catch (cause) {
      if (!this.#stopping.signal.aborted) onFailure(`comparing with ${peer} failed`, cause);
    }
  }
}
