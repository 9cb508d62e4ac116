import type { ReplicationSettings } from '@memplane/crdt';

const MIB = 1024 * 1024;

/** All times follow from the round; what is sent fits into a stream between replicas. */
export function replicationSettings(syncIntervalMs: number): ReplicationSettings {
  return {
    vectorIntervalMs: 10 * syncIntervalMs,
    apartIntervalMs: syncIntervalMs,
    passOnDelayMs: 1.5 * syncIntervalMs,
    resendMs: 2 * syncIntervalMs,
    compareDelayMs: 20 * syncIntervalMs,
    message_bytes_max: MIB / 2,
    delta_bytes_max: 2 * MIB,
    log_entries_max: 4_096,
    log_bytes_max: 16 * MIB,
    joins_max: 16,
    parkedMs: syncIntervalMs,
    parked_max: 64,
  };
}
