import { DEFAULT_TENANT } from '@memplane/contracts';
import { partitionOfBytes } from '@memplane/event-log';
import { OVERFLOW_ENTRY } from './index-entries.ts';
import type { Table } from './keys.ts';

const OFFSET_BYTES = 6;
const TENANT_BYTES_MAX = 63;

/**
 * Tells which partition the entity is in that a tenant's row is about, from the bytes of the row's
 * key alone: all rows of a shard are gone through, and a text for each would be most of the work.
 */
export class RowPartitioner {
  readonly #partitions: number;
  /** The partition key: tenant, colon, entity, see `partitionKey` of the contracts. */
  #key = new Uint8Array(512);
  #tenant = '';
  #tenantBytes = 0;

  constructor(partitions: number) {
    this.#partitions = partitions;
  }

  partitionOf(tenant: string, rowKey: Uint8Array): number {
    if (tenant !== this.#tenant) this.#begin(tenant);
    const tableAt = tenant.length + 3;
    const end = entityEnd(rowKey, tableAt);
    const start = entityStart(rowKey, tableAt, end);
    if (this.#key.length < TENANT_BYTES_MAX + 1 + end - start) this.#grow(end - start);
    const key = this.#key;
    let at = this.#tenantBytes;
    for (let i = start; i < end; i++) key[at++] = rowKey[i] as number;
    return partitionOfBytes(key, at, this.#partitions);
  }

  #begin(tenant: string): void {
    this.#tenant = tenant;
    const prefix = tenant === DEFAULT_TENANT ? '' : `${tenant}:`;
    this.#tenantBytes = prefix.length;
    for (let i = 0; i < prefix.length; i++) this.#key[i] = prefix.charCodeAt(i);
  }

  #grow(entityBytes: number): void {
    const larger = new Uint8Array(2 * (TENANT_BYTES_MAX + 1 + entityBytes));
    larger.set(this.#key);
    this.#key = larger;
  }
}

/**
 * The entity that a tenant's row is about, as its key has it.
 * @param tableAt where the key has its table
 */
export function entityOfRow(rowKey: Buffer, tableAt: number): string {
  const end = entityEnd(rowKey, tableAt);
  return rowKey.toString('latin1', entityStart(rowKey, tableAt, end), end);
}

function tableOf(key: Uint8Array, tableAt: number): Table {
  return String.fromCharCode(key[tableAt] ?? 0) as Table;
}

/** Where the entity ends, see `keys.ts` for what is behind it. */
function entityEnd(key: Uint8Array, tableAt: number): number {
  switch (tableOf(key, tableAt)) {
    case 'm':
    case 'u':
    case 'v':
      return key.indexOf(0, tableAt + 1);
    case 'e':
    case 'y':
      return key.length - OFFSET_BYTES - 1;
    default:
      return key.length;
  }
}

/** Where the entity begins, see `keys.ts` for what is before it. */
function entityStart(key: Uint8Array, tableAt: number, end: number): number {
  const at = tableAt + 1;
  switch (tableOf(key, tableAt)) {
    case 'h':
    case 'z':
    case 'm':
    case 'u':
    case 'v':
      return at;
    case 'i':
      return at + 1 + (key[at] ?? 0);
    case 'e':
      return key.lastIndexOf(0, end - 1) + 1;
    case 'x':
    case 'y':
      return entryEnd(key, at);
    default:
      throw new Error(`no tenant has a table ${tableOf(key, tableAt)}`);
  }
}

const NUMBER = '2'.charCodeAt(0);
const BOOLEAN = '6'.charCodeAt(0);

/** Where an entry of the attribute index ends, see `splitEntry`. */
function entryEnd(key: Uint8Array, at: number): number {
  const pathEnd = key.indexOf(0, at);
  if (pathEnd === at) return at + OVERFLOW_ENTRY.length;
  const valueAt = pathEnd + 2;
  if (key[pathEnd + 1] === NUMBER) return valueAt + 8;
  if (key[pathEnd + 1] === BOOLEAN) return valueAt + 1;
  let textEnd = key.indexOf(0, valueAt);
  while (key[textEnd + 1] !== 0) textEnd = key.indexOf(0, textEnd + 1);
  return textEnd + 2;
}
