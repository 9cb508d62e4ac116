import { MemplaneError } from '@memplane/contracts';
import type { LogInfo, NewRecord } from '../port.ts';
import { openKafkaLog } from './open.ts';
import type { KafkaLogOptions } from './options.ts';
import type { KafkaAdmin, KafkaWriter } from './writer.ts';

/** A log that is to be written anew, at offsets that it had elsewhere. */
export interface NewLog {
  readonly epoch: number;
  /** The first offset of each partition. */
  readonly starts: readonly number[];
}

const FILLERS_AT_ONCE = 5_000;
const NOTHING = new Uint8Array();

/**
 * Opens a topic that nobody has used as a log that begins at the given offsets. Kafka numbers from 0,
 * so what is before a start is filled with empty records, which are removed again.
 * @throws MemplaneError `invalid_request` for a topic of another shape, or one that has records;
 * `dependency_unavailable`
 */
export async function openNewKafkaLog(options: KafkaLogOptions, log: NewLog): Promise<KafkaWriter> {
  const { writer, admin } = await openKafkaLog(options);
  try {
    refuseOther(writer.info, log);
    for (const partition of log.starts.keys()) {
      const { end } = await writer.bounds(partition);
      if (end > 0) throw refused(`has records already (partition ${partition})`);
    }
    for (const [partition, start] of log.starts.entries()) {
      await fillUpTo({ writer, admin }, partition, start);
    }
    return writer;
  } catch (error) {
    await writer.close();
    throw error;
  }
}

async function fillUpTo(
  { writer, admin }: { readonly writer: KafkaWriter; readonly admin: KafkaAdmin },
  partition: number,
  start: number,
): Promise<void> {
  if (start === 0) return;
  const filler: NewRecord = {
    ...{ partition, key: '', value: NOTHING, hlc: 0n },
    ...{ idDigest: new Uint8Array(16), contentDigest: new Uint8Array(16) },
  };
  for (let at = 0; at < start; at += FILLERS_AT_ONCE) {
    const count = Math.min(FILLERS_AT_ONCE, start - at);
    await writer.append(Array.from({ length: count }, () => filler));
  }
  await admin.deleteRecordsBefore(partition, start);
}

function refuseOther({ partitions, epoch }: LogInfo, { starts, epoch: wanted }: NewLog): void {
  if (partitions !== starts.length) {
    throw refused(`has ${partitions} partitions, and ${starts.length} are needed`);
  }
  if (epoch !== wanted) throw refused(`is of epoch ${epoch}, and ${wanted} is needed`);
}

function refused(why: string): MemplaneError {
  return new MemplaneError('invalid_request', `The topic of the new log ${why}.`);
}
