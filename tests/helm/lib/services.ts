import { SERVICES, type ServiceName } from '@memplane/contracts';
import { SETTINGS as CRDT_SYNC_SETTINGS, readCrdtSyncConfig } from '@memplane/crdt-sync';
import { INGEST_SETTINGS, readIngestConfig } from '@memplane/event-ingest';
import { MATERIALIZER_SETTINGS, readMaterializerConfig } from '@memplane/materializer';
import type { Env, Setting } from '@memplane/runtime';
import { readVectorIndexConfig, VECTOR_INDEX_SETTINGS } from '@memplane/vector-index';
import {
  readStandaloneConfig,
  STANDALONE_SETTINGS,
} from '../../../packages/standalone/src/plane/settings.ts';
import { list, type Resource } from './render.ts';

/** How a service reads its environment, and which variables it knows. */
export interface Known {
  readonly names: ReadonlySet<string>;
  /** @throws ConfigError that names every wrong setting */
  readonly read: (env: Env) => unknown;
}

const namesOf = (...settings: Readonly<Record<string, Setting<unknown>>>[]) =>
  settings.flatMap((each) => Object.values(each).map(({ env }) => env));

/** What every service reads by other means than its settings: where its sidecar is. */
const SIDECAR = ['DAPR_HTTP_PORT', 'DAPR_API_TOKEN'];
/** Node's own. */
const NODE = ['NODE_COMPILE_CACHE'];
/** Named by no program, but by other variables of the same pod. */
export const HELPERS: ReadonlySet<string> = new Set(['POD_NAME', 'POD_IP']);

const service = (settings: Readonly<Record<string, Setting<unknown>>>, read: Known['read']) => ({
  names: new Set([...namesOf(settings), ...SIDECAR, ...NODE]),
  read,
});

export const KNOWN: Readonly<Record<ServiceName | 'standalone', Known>> = {
  'event-ingest': service(INGEST_SETTINGS, readIngestConfig),
  materializer: service(MATERIALIZER_SETTINGS, readMaterializerConfig),
  'crdt-sync': service(CRDT_SYNC_SETTINGS, readCrdtSyncConfig),
  'vector-index': service(VECTOR_INDEX_SETTINGS, readVectorIndexConfig),
  standalone: {
    names: new Set([
      ...['MEMPLANE_DATA_DIR', ...NODE],
      ...namesOf(STANDALONE_SETTINGS, INGEST_SETTINGS, MATERIALIZER_SETTINGS),
      ...namesOf(CRDT_SYNC_SETTINGS, VECTOR_INDEX_SETTINGS),
    ]),
    read: (env) => {
      // The plane gives each service addresses and folders itself; all else they read themselves.
      const { MEMPLANE_HOST: _host, ...own } = env;
      readIngestConfig(own);
      readMaterializerConfig(own);
      readCrdtSyncConfig(own);
      readVectorIndexConfig(own);
      return readStandaloneConfig(env);
    },
  },
};

export const SERVICE_NAMES = Object.keys(SERVICES) as ServiceName[];

/** What a kubelet would give a container, with fields and secrets as if there were a pod. */
export function environmentOf(
  container: Resource,
  fields: Readonly<Record<string, string>>,
  secrets: (name: string, key: string) => string,
): Record<string, string> {
  const env: Record<string, string> = {};
  for (const variable of list(container['env'])) {
    const { name, value, valueFrom } = variable;
    const field = valueFrom?.['fieldRef']?.['fieldPath'];
    const secret = valueFrom?.['secretKeyRef'];
    if (value !== undefined) {
      env[String(name)] = String(value).replaceAll(
        /\$\((\w+)\)/g,
        (_all, other) => env[other] ?? '',
      );
    } else if (field !== undefined) {
      env[String(name)] = fields[String(field)] ?? '';
    } else if (secret !== undefined) {
      env[String(name)] = secrets(String(secret['name']), String(secret['key']));
    }
  }
  return env;
}
