import { formatHlc } from '@memplane/clock';
import type { CrdtExportLine } from '@memplane/contracts';
import type { CrdtStore, ValueDigest } from './port.ts';
import { encodeStates, stateAsDelta } from './replication/states.ts';

const PAGE_VALUES = 256;

/**
 * All that a replica holds, as lines: for a backup. Each name is as of one moment, and no older than
 * the commits that the first line speaks of.
 * @throws MemplaneError `storage_damaged`: a backup with a hole in it must not look whole
 */
export async function* exportLines(store: CrdtStore): AsyncGenerator<CrdtExportLine> {
  // Read before the values, so that these are never behind it.
  const commits = await store.incarnations();
  yield {
    format: 1,
    keyId: 0,
    hlc: formatHlc(await store.lastStamp()),
    commits: Object.fromEntries(commits.map((it) => [it.incarnation, it.commits])),
  };
  let count = 0;
  let after: ValueDigest | undefined;
  for (;;) {
    const page: ValueDigest[] = await store.digests({ after, limit: PAGE_VALUES });
    for (const { tenant, name } of page) {
      // A name that held several types comes once for each: joining it twice does no harm.
      const delta = encodeStates(await stateAsDelta(store, { tenant, name }));
      yield { delta: Buffer.from(delta).toString('base64') };
      count++;
    }
    if (page.length < PAGE_VALUES) break;
    after = page.at(-1);
  }
  await store.settle();
  yield { end: true, count };
}
