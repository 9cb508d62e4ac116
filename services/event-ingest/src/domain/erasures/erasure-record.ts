import { type Erasure, MemplaneError } from '@memplane/contracts';

/** An erasure as the strong store has it. */
export interface ErasureRecord extends Erasure {
  readonly tenant: string;
  /**
   * `appending`: its event may be in the log or not, and nothing may be appended to the entity;
   * `clearing`: it is, and the key is gone.
   */
  readonly phase: 'appending' | 'clearing' | 'done';
  /** The instance that sees to it, where there may be several. */
  readonly runner?: string;
  /** How often its event was begun anew: each has an id of its own, so that the last one counts. */
  readonly attempt?: number;
  /** Of a strong entity, or one that was: its head remembers nothing of before this sequence. */
  readonly sequence?: number;
}

/** Why an entity may not be erased. */
export interface HoldRecord {
  readonly entity: string;
  readonly reason: string;
  readonly since: string;
}

export const erasureName = (tenant: string, id: string): string => `${tenant}.erasure.${id}`;
export const holdName = (tenant: string, entity: string): string =>
  `${tenant}.hold.${entity.replace('/', ':')}`;
/** In the tenant `default`: which erasures of all tenants are not done yet. */
export const OPEN_ERASURES = 'default.erasures.open';
/** Ids of a tenant's erasures, in the order of their beginning, where the store can't list. */
export const erasurePageName = (tenant: string, page: number): string =>
  `${tenant}.erasure-ids.${page}`;

const FORMAT_VERSION = 1;

export function encodeErasures(record: object): string {
  return JSON.stringify({ format: FORMAT_VERSION, record });
}

/** @throws MemplaneError `storage_damaged` for another format */
export function decodeErasures<T>(text: string): T {
  const { format, record } = JSON.parse(text) as { format: number; record: T };
  if (format === FORMAT_VERSION) return record;
  throw new MemplaneError('storage_damaged', `A record of erasures has format ${format}.`);
}

/** What callers are shown. */
export function receiptOf(record: ErasureRecord): Erasure {
  const { id, entity, reason, requestedAt, isDone, doneAt, keyId, event, stores } = record;
  return {
    id,
    entity,
    ...(reason === undefined ? {} : { reason }),
    requestedAt,
    isDone,
    ...(doneAt === undefined ? {} : { doneAt }),
    ...(keyId === undefined ? {} : { keyId }),
    ...(event === undefined ? {} : { event }),
    stores,
  };
}
