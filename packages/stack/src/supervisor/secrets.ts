import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Who has a sidecar: the services, and one agent for whoever wants to try. */
export const APP_IDS = [
  'event-ingest',
  'materializer',
  'crdt-sync',
  'vector-index',
  'agent',
] as const;
export type AppId = (typeof APP_IDS)[number];

export interface StackSecrets {
  readonly formatVersion: 1;
  /** Asked of the application that calls its sidecar, by app id. */
  readonly apiTokens: Readonly<Record<AppId, string>>;
  /** Asked of the sidecar that calls its application, by app id. */
  readonly appTokens: Readonly<Record<AppId, string>>;
}

export interface SecretStore {
  readonly 'redis-password': string;
  readonly 's3-access-key': string;
  readonly 's3-secret-key': string;
}

const OWNER_ONLY = 0o600;
const random = () => randomBytes(24).toString('base64url');

/** The tokens of the sidecars and their applications, made at the first start. */
export function stackSecrets(dir: string): StackSecrets {
  return kept(join(dir, 'tokens.json'), () => ({
    formatVersion: 1,
    apiTokens: forEachApp(random),
    appTokens: forEachApp(random),
  }));
}

/** The file of Dapr's secret store, made at the first start. */
export function secretsFile(dir: string): { readonly path: string; readonly values: SecretStore } {
  const path = join(dir, 'secrets.json');
  const values = kept(path, () => ({
    'redis-password': random(),
    's3-access-key': 'memplane',
    's3-secret-key': random(),
  }));
  return { path, values };
}

/** What the replicas of crdt-sync seal their gossip with, made at the first start: 32 bytes, base64. */
export function gossipKey(dir: string): string {
  const make = () => ({ formatVersion: 1, key: randomBytes(32).toString('base64') });
  return kept(join(dir, 'gossip.json'), make).key;
}

/** What an operator shows to event-ingest, and to the RESP ports, made at the first start. */
export function operatorToken(dir: string): string {
  return kept(join(dir, 'operator.json'), () => ({ formatVersion: 1, token: random() })).token;
}

function kept<T>(path: string, make: () => T): T {
  if (!existsSync(path)) {
    mkdirSync(join(path, '..'), { recursive: true, mode: 0o700 });
    const text = `${JSON.stringify(make(), undefined, 2)}\n`;
    writeFileSync(path, text, { mode: OWNER_ONLY, flag: 'wx' });
  }
  return JSON.parse(readFileSync(path, 'utf8'));
}

function forEachApp(make: () => string): Record<AppId, string> {
  return {
    'event-ingest': make(),
    materializer: make(),
    'crdt-sync': make(),
    'vector-index': make(),
    agent: make(),
  };
}
