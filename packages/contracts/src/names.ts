/** Topics of the plane. */
export const TOPICS = {
  events: 'agent-events',
  inbox: 'agent-inbox',
  inboxDead: 'agent-inbox-dead',
  views: 'memory-views',
  alerts: 'memory-alerts',
} as const;

export const DEFAULT_TENANT = 'default';
/**
 * Whose entities `audit/<tenant>.<day>` hold the audit. No token speaks for it, so that only the
 * plane writes there, and nobody reads there but by `GET /v1/audit`.
 */
export const AUDIT_TENANT = 'memplane-audit';
export const DEFAULT_PARTITIONS = 12;

/** Dapr app ids; direct calls use the ports. */
export const SERVICES = {
  'event-ingest': { port: 7101 },
  materializer: { port: 7102 },
  'crdt-sync': { port: 7103, respPort: 6390, gossipPort: 7946 },
  'vector-index': { port: 7104 },
} as const;

export type ServiceName = keyof typeof SERVICES;

/** Names of counters, sets, registers and leases. */
export const NAME_PATTERN = /^[A-Za-z0-9._~:@-]{1,128}$/;
export const TENANT_PATTERN = /^[a-z0-9-]{1,63}$/;

/** Exactly `kind/id`; neither may be `.` or `..`, since paths would swallow them. */
export const ENTITY_PATTERN = /^(?!\.{1,2}\/)[A-Za-z0-9._~@-]+\/(?!\.{1,2}$)[A-Za-z0-9._~@-]+$/;

export function isEntity(text: string): boolean {
  return text.length <= 256 && ENTITY_PATTERN.test(text);
}

/** The partition and shard key of an entity: itself for the default tenant, else `tenant:entity`. */
export function partitionKey(tenant: string, entity: string): string {
  return tenant === DEFAULT_TENANT ? entity : `${tenant}:${entity}`;
}
