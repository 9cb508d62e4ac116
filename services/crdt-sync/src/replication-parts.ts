import type { CommitRange, ReplicaDelta } from '@memplane/crdt';
import { systemTimers } from '@memplane/gossip';
import { type Logger, toMemplaneError } from '@memplane/runtime';
import type { ClusterParts } from './cluster-parts.ts';
import type { CrdtSyncConfig } from './config.ts';
import type { Alerts } from './domain/alerts.ts';
import type { Engine } from './domain/engine.ts';
import type { ReplicatedExecutor } from './domain/executor.ts';
import { joinAll } from './domain/join-all.ts';
import type { CrdtStore } from './domain/port.ts';
import { Agreement } from './domain/replica-set/agreement.ts';
import type { ReplicaSets } from './domain/replica-set/replica-sets.ts';
import { ClusterParticipants } from './domain/replica-set/set-participants.ts';
import { Away } from './domain/replication/away.ts';
import { Comparing } from './domain/replication/comparing.ts';
import { type Caller, LargeCalls } from './domain/replication/large-calls.ts';
import { Quorum } from './domain/replication/quorum.ts';
import { QuorumWrites } from './domain/replication/quorum-writes.ts';
import { Reconciliation } from './domain/replication/reconciliation.ts';
import { Replicator } from './domain/replication/replicator.ts';
import { replicationSettings } from './domain/replication/settings.ts';
import { isDamage } from './domain/replication/values-answer.ts';
import type { CommitVector } from './domain/session-token.ts';
import { PIECED_FROM_ELEMENTS } from './domain/set-pieces.ts';

export interface ReplicationPartsContext {
  readonly cluster: ClusterParts;
  readonly engine: Engine;
  readonly executor: ReplicatedExecutor;
  readonly store: CrdtStore;
  readonly alerts: Alerts;
  readonly sets: ReplicaSets;
  readonly now: () => number;
  readonly logger: Logger;
}

const MIB = 1024 * 1024;
/** Below what gossip sends over one stream, and soon there on a slow network. */
const CHUNK_BYTES_MAX = MIB / 2;
const ANSWER_BYTES_MAX = 256 * MIB;
const ANSWER_KEPT_MS = 30_000;
const COMPARED_ANSWER_MS_MAX = 60_000;
const COMPARING_BOUNDS = {
  values_names_max: 1_024,
  values_bytes_max: MIB,
  pieced_from_elements: PIECED_FROM_ELEMENTS,
} as const;
/** What is told settles only a while later, see `Stability`. */
const AWAY_SLACK_MS = 60_000;
/** Failures of one kind are told once in this time. */
const TOLD_AGAIN_MS = 60_000;

/** A replica whose values are those of the others too. */
export class ReplicationParts {
  readonly replicator: Replicator;
  readonly comparing: Comparing;
  readonly quorum: Quorum;
  readonly writes: QuorumWrites;
  readonly reconciliation: Reconciliation;
  readonly away: Away;
  /** The others, where the replica set is changed. */
  readonly participants: ClusterParticipants;
  /** Told, now and then, that a damaged value keeps commits of others from being joined. */
  onDamage: () => void = () => {};
  readonly #config: CrdtSyncConfig;
  readonly #logger: Logger;
  readonly #toldAtMs = new Map<string, number>();

  constructor(config: CrdtSyncConfig, context: ReplicationPartsContext) {
    const { alerts, cluster: parts, engine, executor, logger, now, sets, store } = context;
    const { cluster, startEpoch } = parts;
    this.#config = config;
    this.#logger = logger;
    const join = (delta: ReplicaDelta, ranges?: readonly CommitRange[]) =>
      joinAll(engine, delta, ranges);
    const joining = {
      expect: (theirs: CommitVector) => executor.expect(theirs),
      joinAll: join,
      shown: () => executor.shown,
    };
    const calls = this.#callsOf(cluster);
    this.comparing = new Comparing({
      ...COMPARING_BOUNDS,
      ...joining,
      store,
      calls,
      life: () => this.replicator.life,
      known: () => executor.known,
      advance: (ranges) => executor.advance(ranges),
      answerTimeoutMs: Math.max(COMPARED_ANSWER_MS_MAX, config.replicaCallTimeoutMs),
    });
    const { opid_memory_ms, op_ids_per_counter_max } = config;
    const afterMs = opid_memory_ms + AWAY_SLACK_MS;
    this.away = new Away({ alerts, now, afterMs, op_ids_per_counter_max });
    this.replicator = new Replicator({
      executor,
      comparing: this.comparing,
      timers: systemTimers,
      now,
      startEpoch,
      syncIntervalMs: config.syncIntervalMs,
      settings: replicationSettings(config.syncIntervalMs),
      joinAll: join,
      onFailure: (what, cause) => this.#warn(what, cause),
      onSample: (expected, toldMs) => this.away.update(expected, toldMs),
      peers: {
        live: () => cluster.live(),
        expected: () => parts.expected(),
        send: (to, bytes) => cluster.send(to, 'replication', bytes),
      },
    });
    cluster.on('replication', (from, bytes) => this.replicator.receive(from, bytes));
    parts.onReached = (id) => this.replicator.reachable(id);
    const { replicaId: self, replicaCallTimeoutMs: timeoutMs } = config;
    const { replicator } = this;
    this.quorum = new Quorum({
      self,
      sets,
      store,
      calls,
      timers: systemTimers,
      timeoutMs,
      part_bytes_max: CHUNK_BYTES_MAX,
      ...joining,
    });
    const { comparing, quorum } = this;
    const agreement = new Agreement({ calls, sets, known: () => executor.known });
    this.writes = new QuorumWrites({ self, sets, quorum, agreement, replicator });
    this.participants = new ClusterParticipants({
      self,
      agreement,
      live: () => cluster.live(),
      catchUp: (id) => replicator.catchUp(id),
      toError: toMemplaneError,
    });
    this.reconciliation = new Reconciliation({
      engine,
      calls,
      comparing,
      replicator,
      alerts,
      now,
      toError: toMemplaneError,
      live: () => cluster.live(),
      ...joining,
    });
  }

  #callsOf(caller: Caller): LargeCalls {
    return new LargeCalls({
      caller,
      life: () => this.replicator.life,
      now: () => performance.now(),
      callTimeoutMs: this.#config.replicaCallTimeoutMs,
      chunk_bytes_max: CHUNK_BYTES_MAX,
      answer_bytes_max: ANSWER_BYTES_MAX,
      keptMs: ANSWER_KEPT_MS,
    });
  }

  start(): void {
    this.replicator.start();
  }

  /** Before this replica leaves the others. */
  async drain(): Promise<void> {
    const signal = AbortSignal.timeout(this.#config.handOverTimeoutMs);
    if (await this.replicator.handOver(signal)) return;
    this.#logger.warn('some replicas do not have all that was committed here yet');
  }

  stop(): void {
    this.replicator.stop();
  }

  /** What `/readyz` says of it. */
  describe(): Readonly<Record<string, unknown>> {
    const { entries, bytes } = this.replicator.log;
    return { replication: { logEntries: entries, logBytes: bytes, ...this.replicator.stats } };
  }

  #warn(what: string, error: unknown): void {
    const nowMs = performance.now();
    if (nowMs - (this.#toldAtMs.get(what) ?? Number.NEGATIVE_INFINITY) < TOLD_AGAIN_MS) return;
    this.#toldAtMs.set(what, nowMs);
    this.#logger.warn({ error }, what);
    if (isDamage(error)) this.onDamage();
  }
}
