import { type AuditRecord, DEFAULT_TENANT, isEntity, NAME_PATTERN } from '@memplane/contracts';
import type { Identity } from '../identity/identity.ts';

/** What was asked, as far as that is known when it is refused. */
export interface AskedCall {
  /** The operation's id, or a command. */
  readonly operation: string;
  /** What it needs. */
  readonly role?: string | undefined;
  readonly isRead: boolean;
  /** Undefined: nobody knows who called. */
  readonly identity: Identity | undefined;
  /** The entity or name. */
  readonly target?: string | undefined;
  readonly traceparent?: string | undefined;
  readonly address?: string | undefined;
}

/** A record as it waits: those of the same make are put together, and named, when they are sent. */
export type CallRecord = Omit<AuditRecord, 'id' | 'count'> & { readonly count?: number };

const UNKNOWN = 'unknown';
const TRACEPARENT = /^[0-9a-f]{2}-([0-9a-f]{32})-/;

/** @param outcome `ok`, or the code of a problem @param nowMs milliseconds since 1970 */
export function callRecord(
  service: string,
  call: AskedCall,
  outcome: string,
  nowMs: number,
): CallRecord {
  const { identity, role, target, address } = call;
  const traceId = TRACEPARENT.exec(call.traceparent ?? '')?.[1];
  return {
    time: new Date(nowMs).toISOString(),
    tenant: identity?.tenant ?? DEFAULT_TENANT,
    subject: identity?.subject ?? UNKNOWN,
    service,
    operation: call.operation,
    ...(role === undefined ? {} : { role }),
    // What is neither an entity nor a name may be anything, a secret too.
    ...(target !== undefined && (isEntity(target) || NAME_PATTERN.test(target)) ? { target } : {}),
    outcome,
    ...(identity === undefined && address !== undefined ? { address: address.slice(0, 64) } : {}),
    ...(traceId === undefined ? {} : { traceId }),
  };
}

/**
 * What a call is about: of its path, query or body only what names an entity or a value.
 * @param parts unchecked where the call was refused before it was read
 */
export function targetOf(...parts: readonly unknown[]): string | undefined {
  for (const part of parts) {
    if (typeof part !== 'object' || part === null) continue;
    const { kind, id, name, entity } = part as Record<string, unknown>;
    if (typeof kind === 'string' && typeof id === 'string') return `${kind}/${id}`;
    if (typeof name === 'string') return name;
    if (typeof entity === 'string') return entity;
  }
  return undefined;
}
