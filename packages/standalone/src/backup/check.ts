import { checkedLines } from '@memplane/crdt-sync/backup';
import { checkedStrongLines } from '@memplane/event-ingest/backup';
import { checkSnapshot } from '@memplane/materializer/backup';
import { checkedVectorLines } from '@memplane/vector-index/backup';
import type { BackupReader } from './backup-reader.ts';

/**
 * Reads a backup from end to end, as a restoration would, and writes nothing. What is counted are
 * bytes of events before compression, and of shards as they are.
 * @throws MemplaneError `storage_damaged`, naming the first part that can not be used
 */
export async function checkBackup(
  backup: BackupReader,
  onBytes: (bytes: number) => void,
): Promise<void> {
  for (const partition of backup.manifest.cut.offsets.keys()) {
    for await (const records of backup.records(partition)) {
      onBytes(records.reduce((sum, { value }) => sum + value.length, 0));
    }
  }
  for (const part of backup.parts('shard')) {
    await checkSnapshot(backup.bytes(part), part.name);
    onBytes(part.sizeBytes);
  }
  for (const part of backup.parts('crdts')) {
    for await (const _line of checkedLines(backup.lines(part), part.name));
  }
  for (const part of backup.parts('strong')) {
    for await (const _line of checkedStrongLines(backup.lines(part), part.name));
  }
  for (const part of backup.parts('vectors')) {
    for await (const _line of checkedVectorLines(backup.lines(part), part.name));
  }
}
