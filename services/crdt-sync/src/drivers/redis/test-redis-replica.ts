import type { Incarnation } from '@memplane/crdt';
import { OPID_MEMORY_MS, type ReplicaOptions, TestReplica } from '../../domain/test-replica.ts';
import type { RedisConnection } from './connection.ts';
import { RedisExecutor } from './redis-executor.ts';
import { RedisStore } from './redis-store.ts';

/** A replica without its service, on a Redis. */
export function redisReplica(
  connection: RedisConnection,
  options: Omit<ReplicaOptions, 'store'>,
  call_elements_max = 1_000,
): TestReplica<RedisExecutor> {
  const store = new RedisStore(connection);
  const executor = new RedisExecutor({
    connection,
    store,
    replicaId: options.id,
    set_elements_max: 10_000,
    set_bytes_max: 1_000_000,
    map_bytes_max: 20_000,
    batch_commands_max: 1_000,
    call_elements_max,
    op_ids_per_counter_max: options.op_ids_per_counter_max ?? 100_000,
    contested_ids_per_counter_max: 1_000,
    opid_memory_ms: OPID_MEMORY_MS,
    hlc_drift_max_ms: TestReplica.driftMaxMs,
    now: options.now,
    newIncarnation: options.newIncarnation,
  });
  return new TestReplica({ ...options, store }, executor);
}

/** Incarnations that are random, and never given twice. */
export function newIncarnations(): { next: () => Incarnation; readonly given: Set<Incarnation> } {
  const given = new Set<Incarnation>();
  const next = () => {
    const incarnation = crypto.randomUUID().replaceAll('-', '');
    given.add(incarnation);
    return incarnation;
  };
  return { next, given };
}
