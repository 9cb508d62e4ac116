import { setTimeout as pause } from 'node:timers/promises';
import type { Etcd } from '../drivers/etcd.ts';

/** So many entries that etcd takes a snapshot on the way, which it does after 10,000 by default. */
const ENTRY_BYTES = 32 * 1024;
/** Others are to have their turn in between. */
const ENTRIES_UNDER_WAY_MAX = 4;

/** A leader that goes, or that others keep busy, is waited for. */
const FAILURES_MAX = 40;
const PAUSE_MS = 500;

/** Any key: it is neither read nor written. */
const KEY = Buffer.from('default.turn').toString('base64');

/**
 * A transaction that can not succeed: no key was made before the revision 0. Having a write in it, it
 * goes through the log of all members, and as that is not done, it leaves nothing in their databases.
 */
const TURN = {
  compare: [{ key: KEY, target: 'CREATE', result: 'LESS', create_revision: '0' }],
  success: [{ request_put: { key: KEY, value: Buffer.alloc(ENTRY_BYTES).toString('base64') } }],
};

/**
 * Makes etcd begin new files of its write-ahead log until it has no use for those that it has now; it
 * removes them within half a minute (`purgeFileInterval` in etcd's server.go). Nothing else does that
 * but what the plane happens to write.
 * @param bytes that all members are to log: files of 64 MiB, one more than `--max-wals`
 * @throws MemplaneError `dependency_unavailable`
 */
export async function turnEtcdLog(etcd: Etcd, bytes: number): Promise<void> {
  let entries = Math.ceil(bytes / ENTRY_BYTES);
  let failures = 0;
  const write = async () => {
    while (entries-- > 0) {
      try {
        await etcd.call('kv/txn', TURN);
      } catch (error) {
        // It may be in the log or not; one more does no harm.
        entries++;
        if (++failures > FAILURES_MAX) throw error;
        await pause(PAUSE_MS);
      }
    }
  };
  await Promise.all(Array.from({ length: ENTRIES_UNDER_WAY_MAX }, write));
}
