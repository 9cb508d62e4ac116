import type { StrongStore } from '@memplane/runtime/strong';
import { keyRecordName } from '../domain/sealing/key-record.ts';
import { headKey } from '../domain/strong/head.ts';

export interface PlainStoresOptions {
  readonly strong: StrongStore;
  /** Whether this instance has master keys. */
  readonly seals: boolean;
  /** Whether this instance can make etcd lose what a head was, in its write-ahead log too. */
  readonly turnsEtcd: boolean;
  /**
   * After how many milliseconds at most the topic of views loses what was replaced there; infinite:
   * nobody knows. Undefined: there is no such topic.
   */
  readonly viewsCompactionLagMs: () => Promise<number | undefined>;
}

/** Clearing is to take ten minutes at most; what follows compaction takes up to four. */
const COMPACTION_LAG_MS_MAX = 5 * 60_000;

/**
 * Where several instances share their stores: why an entity that has no key can not be erased, because
 * one of the stores would keep what was said in plain text for a time that nobody can name.
 * @returns what resolves with undefined where it can
 */
export function plainRefusal(options: PlainStoresOptions) {
  const { strong, seals, turnsEtcd, viewsCompactionLagMs } = options;
  return async (tenant: string, entity: string): Promise<string | undefined> => {
    if (!turnsEtcd && (await strong.get(headKey({ tenant, entity }))) !== undefined) {
      return (
        'it is, or was, in a strong zone, and this instance can not clear what etcd has of it: ' +
        'MEMPLANE_ETCD_ENDPOINTS, MEMPLANE_ETCD_TURN_BYTES.'
      );
    }
    if (!seals && (await strong.get(keyRecordName(tenant, entity))) !== undefined) {
      return 'it has a key, which this instance is not told how to use: MEMPLANE_SEALING_KEYS.';
    }
    const lagMs = await viewsCompactionLagMs();
    if (lagMs === undefined || lagMs <= COMPACTION_LAG_MS_MAX) return undefined;
    return `the topic memory-views needs max.compaction.lag.ms of ${COMPACTION_LAG_MS_MAX} or less.`;
  };
}
