import { barrierOf, isForeign, type LogInfo } from '@memplane/event-log';
import type { ShardRecord } from './shard-record.ts';

/** What the epoch that a shard is in means for what is applied to it. */
export interface ShardEpoch {
  /** The first offset that it must not apply before it is split; infinity: there is none yet. */
  readonly barrier: number;
  /** Which partition keys are not its own, though records of them may be; absent: none. */
  readonly isForeign?: (partitionKey: string) => boolean;
}

const FIRST_EPOCH: ShardEpoch = { barrier: Number.POSITIVE_INFINITY };

/** @param info the log, looked at after what is to be applied was read from it */
export function epochOf(
  info: LogInfo,
  partition: number,
  { epoch }: Pick<ShardRecord, 'epoch'>,
): ShardEpoch {
  const { lineage } = info;
  if (lineage === undefined) return FIRST_EPOCH;
  const partitions = info.partitions / 2 ** (info.epoch - epoch);
  return {
    barrier: barrierOf(lineage, partition, partitions) ?? Number.POSITIVE_INFINITY,
    isForeign: (key) => isForeign(key, partition, partitions),
  };
}
