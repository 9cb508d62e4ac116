import { readFileSync } from 'node:fs';
import { ConfigError, type Route } from '@memplane/runtime';
import type { StrongStore } from '@memplane/runtime/strong';
import type { IngestConfig } from '../config.ts';
import { MasterKeys, MasterKeysError } from '../domain/sealing/master-keys.ts';
import { unwrapKeysRoute } from '../routes/unwrap-keys.ts';
import { EntityKeys } from './entity-keys.ts';
import { ALL_SEALED, type SealedZones, Sealer } from './sealer.ts';

export interface Sealing {
  readonly sealer: Sealer;
  /** Undefined: there is no master key. */
  readonly keys: EntityKeys | undefined;
  readonly routes: readonly Route[];
}

/**
 * @param zones which entities are sealed where callers are not told apart
 * @throws ConfigError for a file of master keys that can't be read
 */
export function createSealing(
  config: IngestConfig,
  store: StrongStore | undefined,
  zones: SealedZones,
): Sealing | undefined {
  if (store === undefined) return undefined;
  const { sealingKeysFile, tenantsFile, keys_cached_max } = config;
  if (sealingKeysFile === undefined) {
    return { sealer: new Sealer(undefined, zones), keys: undefined, routes: [] };
  }
  const keys = new EntityKeys({ store, master: readMasterKeys(sealingKeysFile), keys_cached_max });
  const sealer = new Sealer(keys, tenantsFile === undefined ? zones : ALL_SEALED);
  return { sealer, keys, routes: [unwrapKeysRoute(keys)] };
}

function readMasterKeys(path: string): MasterKeys {
  try {
    return MasterKeys.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    const isWrong = error instanceof MasterKeysError;
    const why = isWrong ? error.message : `it can not be read (${(error as Error).message})`;
    throw new ConfigError(`MEMPLANE_SEALING_KEYS=${path}: ${why}.`);
  }
}
