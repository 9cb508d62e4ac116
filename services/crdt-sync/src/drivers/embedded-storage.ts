import { randomBytes } from 'node:crypto';
import path from 'node:path';
import { HybridClock } from '@memplane/clock';
import { toMemplaneError } from '@memplane/runtime';
import type { CrdtSyncConfig } from '../config.ts';
import { LocalExecutor } from '../domain/local-executor.ts';
import type { CrdtStorage } from '../domain/storage.ts';
import { EmbeddedMembership } from './embedded-membership.ts';
import { EmbeddedStore } from './embedded-store.ts';

/** A folder of this process's own. @throws MemplaneError what opening the store throws */
export async function openEmbeddedStorage(
  config: CrdtSyncConfig,
  options: { readonly dir: string; readonly now: () => number },
): Promise<CrdtStorage & { readonly executor: LocalExecutor }> {
  const store = await EmbeddedStore.open({ dir: path.resolve(options.dir) });
  const incarnations = await store.incarnations();
  const floor = await store.lastStamp();
  const executor = new LocalExecutor({
    ...config,
    store,
    now: options.now,
    clock: new HybridClock({ now: options.now, driftMaxMs: config.hlc_drift_max_ms, floor }),
    incarnations,
    newIncarnation: () => randomBytes(16).toString('hex'),
    toError: toMemplaneError,
  });
  const membership = new EmbeddedMembership(store);
  const describe = () => ({});
  const shared = { store, alerts: store, membership, executor };
  return { ...shared, appendfsync: 'always', describe };
}
