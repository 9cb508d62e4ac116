import type { Timers } from '@memplane/gossip';
import { toMemplaneError } from '@memplane/runtime';
import { MemoryStore } from '../../drivers/test-memory-store.ts';
import { Alerts } from '../alerts.ts';
import { SimulatedReplicas } from '../cluster/simulated-replicas.ts';
import { joinAll } from '../join-all.ts';
import { Reconciling } from '../reconciling.ts';
import { Agreement } from '../replica-set/agreement.ts';
import { FixedReplicaSet, type ReplicaSets } from '../replica-set/replica-sets.ts';
import { ClusterParticipants } from '../replica-set/set-participants.ts';
import { TestReplica } from '../test-replica.ts';
import { Comparing } from './comparing.ts';
import { LargeCalls } from './large-calls.ts';
import { Quorum } from './quorum.ts';
import { QuorumWrites } from './quorum-writes.ts';
import { Reconciliation } from './reconciliation.ts';
import { Replicator } from './replicator.ts';
import { replicationSettings } from './settings.ts';

export interface SimulatedPlaneReplica {
  readonly id: string;
  readonly replica: TestReplica;
  readonly replicator: Replicator;
  readonly comparing: Comparing;
  readonly quorum: Quorum;
  readonly writes: QuorumWrites;
  readonly reconciling: Reconciling;
  readonly sets: ReplicaSets;
  readonly participants: ClusterParticipants;
}

const SYNC_INTERVAL_MS = 100;
const CALL_TIMEOUT_MS = 1_000;
const EPOCH_MS = 1_700_000_000_000;

/** Whole replicas, but for their HTTP and their disks, on a simulated network. */
export class SimulatedPlane {
  readonly net: SimulatedReplicas;
  readonly ids: readonly string[];
  readonly stores = new Map<string, MemoryStore>();
  readonly alerts = new Map<string, Alerts>();
  readonly replicas = new Map<string, SimulatedPlaneReplica>();
  readonly failures: string[] = [];
  /** Of replicas that are started from now on. */
  op_ids_per_counter_max = 10_000;
  syncIntervalMs = SYNC_INTERVAL_MS;
  /** The replica set as one of them knows it, on a clock of its own. */
  setsOf: (id: string, timers: Timers) => ReplicaSets = () => new FixedReplicaSet(this.ids);

  constructor(seed: number, ids: readonly string[]) {
    this.net = new SimulatedReplicas(seed);
    this.ids = ids;
  }

  async start(id: string): Promise<SimulatedPlaneReplica> {
    const { net, ids } = this;
    const { cluster, host, membership } = await net.start(id, ids, {
      onEvent: ({ type, member }) => {
        if (type === 'joined' || type === 'alive-again') {
          this.replicas.get(id)?.replicator.reachable(member.id);
        }
      },
    });
    const replica = await this.#startReplica(id);
    const { store } = replica.options;
    const { engine, executor } = replica;
    const calls = new LargeCalls({
      caller: cluster,
      life: () => replicator.life,
      now: () => host.now(),
      callTimeoutMs: CALL_TIMEOUT_MS,
      chunk_bytes_max: 1_000,
      answer_bytes_max: 10_000_000,
      keptMs: 10_000,
    });
    const comparing = new Comparing({
      store,
      calls,
      life: () => replicator.life,
      known: () => executor.known,
      shown: () => executor.shown,
      expect: (theirs) => executor.expect(theirs),
      joinAll: (delta) => joinAll(engine, delta),
      advance: (ranges) => executor.advance(ranges),
      answerTimeoutMs: 10_000,
      values_names_max: 8,
      values_bytes_max: 2_000,
      // Small ones too: they are what the simulation has.
      pieced_from_elements: 1,
    });
    const replicator = new Replicator({
      executor,
      comparing,
      timers: host,
      now: () => EPOCH_MS + this.net.time.nowMs,
      startEpoch: membership.startEpoch,
      syncIntervalMs: this.syncIntervalMs,
      settings: replicationSettings(this.syncIntervalMs),
      joinAll: (delta, ranges) => joinAll(engine, delta, ranges),
      onFailure: (what, cause) => this.failures.push(`${id}: ${what}: ${String(cause)}`),
      peers: {
        live: () => cluster.live(),
        expected: () => ids.filter((other) => other !== id),
        send: (to, bytes) => cluster.send(to, 'replication', bytes),
      },
    });
    cluster.on('replication', (from, bytes) => replicator.receive(from, bytes));
    const sets = this.setsOf(id, host);
    const quorum = new Quorum({
      self: id,
      sets,
      store,
      calls,
      timers: host,
      timeoutMs: CALL_TIMEOUT_MS,
      part_bytes_max: 1_000,
      shown: () => executor.shown,
      expect: (theirs) => executor.expect(theirs),
      joinAll: (delta) => joinAll(engine, delta),
    });
    const agreement = new Agreement({ calls, sets, known: () => executor.known });
    const writes = new QuorumWrites({ self: id, sets, quorum, agreement, replicator });
    const participants = new ClusterParticipants({
      self: id,
      agreement,
      live: () => cluster.live(),
      catchUp: (other) => replicator.catchUp(other),
      toError: toMemplaneError,
    });
    const reconciling = this.#reconcilingOf({ replica, calls, comparing, replicator });
    replicator.start();
    const parts = { id, replica, replicator, comparing, quorum, writes, reconciling };
    const made = { ...parts, sets, participants };
    this.replicas.set(id, made);
    return made;
  }

  #startReplica(id: string): Promise<TestReplica> {
    // Some compare sets in pieces, some as a whole, as drivers do.
    const store = this.stores.get(id) ?? new MemoryStore(this.net.random.chance(0.7));
    this.stores.set(id, store);
    const random = this.net.random.fork(7 + Math.trunc(this.net.time.nowMs) + id.charCodeAt(0));
    return TestReplica.start({
      id,
      store,
      op_ids_per_counter_max: this.op_ids_per_counter_max,
      now: () => EPOCH_MS + this.net.time.nowMs,
      newIncarnation: () =>
        Array.from({ length: 16 }, () => random.int(0, 255).toString(16).padStart(2, '0')).join(''),
      told: () => {},
    });
  }

  #reconcilingOf(parts: {
    replica: TestReplica;
    calls: LargeCalls;
    comparing: Comparing;
    replicator: Replicator;
  }): Reconciling {
    const { replica, ...rest } = parts;
    const { engine, executor, options } = replica;
    const now = () => EPOCH_MS + this.net.time.nowMs;
    const alerts = new Alerts({
      alerts_max: 64,
      now,
      store: { loadAlerts: async () => [], saveAlerts: async () => {}, loadOthers: async () => [] },
      before: [],
      arePublished: false,
    });
    this.alerts.set(options.id, alerts);
    const others = new Reconciliation({
      ...rest,
      engine,
      alerts,
      now,
      toError: toMemplaneError,
      live: () => this.net.get(options.id).cluster.live(),
      expect: (theirs) => executor.expect(theirs),
      joinAll: (delta) => joinAll(engine, delta),
    });
    return new Reconciling({ engine, store: options.store, alerts, others });
  }

  async startAll(): Promise<void> {
    for (const id of this.ids) await this.start(id);
    await this.net.until(
      () => this.ids.every((id) => this.net.get(id).cluster.live().length === this.ids.length - 1),
      30_000,
    );
  }

  /** Ends a replica at once; its store keeps what was durable. */
  kill(id: string): void {
    this.get(id).replicator.stop();
    this.net.kill(id);
    this.replicas.delete(id);
  }

  get(id: string): SimulatedPlaneReplica {
    const found = this.replicas.get(id);
    if (found === undefined) throw new Error(`there is no replica ${id}`);
    return found;
  }

  /** Whether all that run have the same. */
  async isConverged(): Promise<boolean> {
    const digests = await Promise.all(
      [...this.replicas.values()].map(({ replica }) => replica.digests()),
    );
    return digests.every((other) => JSON.stringify(other) === JSON.stringify(digests[0]));
  }

  /** @returns milliseconds until all have the same */
  async untilConverged(limitMs: number): Promise<number> {
    const startMs = this.net.time.nowMs;
    while (!(await this.isConverged())) {
      if (this.net.time.nowMs - startMs >= limitMs) throw new Error(`differ after ${limitMs} ms`);
      await this.net.run(50);
    }
    return this.net.time.nowMs - startMs;
  }

  /** Lets time pass until something is settled. */
  async settled<T>(promise: Promise<T>, limitMs = 10_000): Promise<T> {
    let isSettled = false;
    const end = () => {
      isSettled = true;
    };
    promise.then(end, end);
    await this.net.until(() => isSettled, limitMs);
    return promise;
  }

  stop(): void {
    for (const id of [...this.replicas.keys()]) this.kill(id);
  }
}
