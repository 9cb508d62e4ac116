import { HybridClock } from '@memplane/clock';
import {
  type CommitRange,
  type CounterKind,
  decodeReplicaDelta,
  encodeReplicaDelta,
  type Json,
  joinAll as joinLattice,
  type MapPlace,
  mapFields,
  type OrMapState,
  type ReplicaDelta,
  replicaDeltaLattice,
} from '@memplane/crdt';
import { toMemplaneError } from '@memplane/runtime';
import { Command, type CommandType } from './command.ts';
import { Engine } from './engine.ts';
import type { Executor, ReplicatedExecutor } from './executor.ts';
import { joinAll } from './join-all.ts';
import type { LocalCommit } from './local-commit.ts';
import { LocalExecutor } from './local-executor.ts';
import type { CrdtStore } from './port.ts';

export interface Ask {
  readonly type: CommandType;
  readonly name: string;
  readonly by?: number;
  readonly opId?: string | undefined;
  readonly kind?: CounterKind;
  readonly elements?: readonly string[];
  readonly value?: Json;
  readonly version?: number;
  readonly place?: MapPlace;
}

export interface ReplicaOptions {
  readonly id: string;
  readonly store: CrdtStore;
  readonly now: () => number;
  readonly newIncarnation: () => string;
  /** Told of what the replica has committed by itself. */
  readonly told: (commit: LocalCommit) => void;
  readonly hot_bytes_max?: number;
  readonly op_ids_per_counter_max?: number;
  readonly set_elements_max?: number;
}

export const OPID_MEMORY_MS = 120_000;

export type TestExecutor = Executor & ReplicatedExecutor;

/** A replica without its service. */
export class TestReplica<E extends TestExecutor = TestExecutor> {
  static readonly driftMaxMs = 60_000;
  readonly options: ReplicaOptions;
  readonly executor: E;
  readonly engine: Engine;

  constructor(options: ReplicaOptions, executor: E) {
    this.options = options;
    this.executor = executor;
    executor.onCommit = options.told;
    const opIds = { now: options.now, opid_memory_ms: OPID_MEMORY_MS };
    const limits = { queued_commands_max: 10_000, scans_max: 4, opIds };
    this.engine = new Engine({ ...limits, executor, toError: toMemplaneError });
  }

  /** On whatever its store has: after an end of any kind, a restart. */
  static async start(options: ReplicaOptions): Promise<TestReplica<LocalExecutor>> {
    const { id, store, now, newIncarnation } = options;
    const floor = await store.lastStamp();
    const executor = new LocalExecutor({
      replicaId: id,
      store,
      clock: new HybridClock({ now, driftMaxMs: TestReplica.driftMaxMs, floor }),
      incarnations: await store.incarnations(),
      newIncarnation,
      toError: toMemplaneError,
      batch_commands_max: 1_000,
      hot_bytes_max: options.hot_bytes_max ?? 100_000,
      set_elements_max: options.set_elements_max ?? 10_000,
      set_bytes_max: 100 * (options.set_elements_max ?? 10_000),
      map_bytes_max: 20_000,
      op_ids_per_counter_max: options.op_ids_per_counter_max ?? 100_000,
      contested_ids_per_counter_max: 1_000,
      opid_memory_ms: OPID_MEMORY_MS,
      hlc_drift_max_ms: TestReplica.driftMaxMs,
      now,
    });
    return new TestReplica(options, executor);
  }

  /** The settled command, whether it was refused or not. */
  ask(ask: Ask): Promise<Command> {
    return new Promise((resolve) => {
      const command = new Command(ask.type, 'default', ask.name, resolve);
      command.by = ask.by ?? 0;
      command.opId = ask.opId;
      command.kind = ask.kind;
      command.elements = ask.elements ?? [];
      command.value = ask.value ?? null;
      command.version = ask.version ?? 0;
      command.place = ask.place;
      this.engine.submit(command);
    });
  }

  /** Joins commits that follow each other, as they come over a network. */
  async receive(commits: readonly LocalCommit[]): Promise<void> {
    const ranges = rangesOf(commits);
    await joinAll(this.engine, sent(commits.map(({ delta }) => delta)), ranges);
    this.executor.advance(ranges);
  }

  /** All that can be read of a name. */
  async read(name: string): Promise<unknown> {
    const [counter, set, register, map] = await Promise.all([
      this.ask({ type: 'counter-get', name }),
      this.ask({ type: 'set-get', name }),
      this.ask({ type: 'register-get', name }),
      this.ask({ type: 'map-get', name }),
    ]);
    const ref = { tenant: 'default', name };
    const elements = await this.options.store.elements(ref, { after: undefined, limit: 10_000 });
    const shown = ({ error, outcome: { number, value } }: Command) =>
      error?.code ?? [number, value];
    return {
      counter: shown(counter),
      set: shown(set),
      register: shown(register),
      map: map.error?.code ?? mapFields(map.outcome.value as OrMapState),
      elements,
    };
  }

  async digests(): Promise<unknown> {
    return this.options.store.digests({ after: undefined, limit: 10_000 });
  }
}

/** Joined, encoded and decoded again. */
export function sent(deltas: readonly ReplicaDelta[]): ReplicaDelta {
  return decodeReplicaDelta(encodeReplicaDelta(joinLattice(replicaDeltaLattice, deltas)));
}

/** Of commits that follow each other, those of each incarnation. */
export function rangesOf(commits: readonly LocalCommit[]): CommitRange[] {
  return [...Map.groupBy(commits, ({ incarnation }) => incarnation)].map(([incarnation, some]) => {
    const numbers = some.map(({ number }) => number);
    return { incarnation, after: Math.min(...numbers) - 1, upTo: Math.max(...numbers) };
  });
}
