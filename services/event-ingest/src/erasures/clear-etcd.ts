import type { ClearedStore } from '@memplane/contracts';
import { Etcd } from '../drivers/etcd.ts';
import type { PurgeNeed } from './purges.ts';
import { turnEtcdLog } from './turn-etcd-log.ts';

export interface EtcdClearing extends PurgeNeed {
  /** URLs, or `host:port`, separated by commas; every member's. */
  readonly endpoints: string;
  /** See {@link turnEtcdLog}. */
  readonly turnBytes: number;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

const NOTE =
  "Compacted and defragmented. etcd's write-ahead log has removed keys, wrapped, until its files turn.";
const TURNED_NOTE =
  'Compacted and defragmented. New files of the write-ahead log were begun, by so many bytes that etcd ' +
  'needs none from before: it removes them within half a minute.';

/**
 * Makes earlier revisions go from etcd's database: what a removed key was, wrapped by the master key,
 * and what heads were. Compaction at the revision of now for all members, then defragmentation of one
 * after the other (https://etcd.io/docs/v3.5/op-guide/maintenance/). Where events were in it, their
 * write-ahead logs are turned, too.
 * @throws MemplaneError `dependency_unavailable`
 */
export async function clearEtcd(clearing: EtcdClearing): Promise<ClearedStore> {
  const { endpoints, turnBytes, hadEvents, now } = clearing;
  const etcd = new Etcd(endpoints);
  const isTurned = hadEvents && turnBytes > 0;
  if (isTurned) await turnEtcdLog(etcd, turnBytes);
  const all = { key: 'AA==', count_only: true };
  const { header } = (await etcd.call('kv/range', all)) as { header: { revision: string } };
  await etcd.call('kv/compaction', { revision: header.revision, physical: true });
  for (const url of etcd.urls) await etcd.call('maintenance/defragment', {}, [url]);
  const note = isTurned ? TURNED_NOTE : NOTE;
  return { store: 'strong', isClear: true, at: new Date(now()).toISOString(), note };
}
