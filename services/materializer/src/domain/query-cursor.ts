import { createHash } from 'node:crypto';
import { MemplaneError } from '@memplane/contracts';

/** Where a query goes on. */
export interface QueryCursor {
  /** The cut of all pages, as a token. */
  readonly token: string;
  readonly partition: number;
  /** The step of the plan within the partition: which table and which range. */
  readonly step: number;
  /** The key after which to go on, without its table's prefix; empty: from the step's beginning. */
  readonly key: string;
}

const VERSION = 1;

/** What a cursor belongs to: the same filter and prefix. */
export function queryDigest(tenant: string, filter: unknown, entityPrefix: string): string {
  const text = JSON.stringify([tenant, filter, entityPrefix]);
  return createHash('sha256').update(text).digest('base64url').slice(0, 22);
}

export function encodeCursor(cursor: QueryCursor, query: string): string {
  const { token, partition, step, key } = cursor;
  const parts = [
    VERSION,
    query,
    token,
    partition,
    step,
    Buffer.from(key, 'latin1').toString('base64url'),
  ];
  const body = JSON.stringify(parts);
  const sum = createHash('sha256').update(body).digest('base64url').slice(0, 8);
  return Buffer.from(sum + body).toString('base64url');
}

/** @throws MemplaneError `invalid_cursor` for what was not given out for this very query */
export function decodeCursor(text: string, query: string, field: string): QueryCursor {
  const raw = Buffer.from(text, 'base64url').toString();
  const body = raw.slice(8);
  const sum = createHash('sha256').update(body).digest('base64url').slice(0, 8);
  if (raw.slice(0, 8) !== sum || Buffer.from(raw).toString('base64url') !== text) {
    throw invalid('This is no cursor that the plane has given out.', field);
  }
  const parts: unknown = JSON.parse(body);
  const [version, of, token, partition, step, key] = Array.isArray(parts) ? parts : [];
  if (version !== VERSION) throw invalid('The cursor is of another version.', field);
  if (of !== query) throw invalid('The cursor is of another filter or prefix.', field);
  if (
    typeof token !== 'string' ||
    typeof key !== 'string' ||
    !isCount(partition) ||
    !isCount(step)
  ) {
    throw invalid('This is no cursor that the plane has given out.', field);
  }
  return { token, partition, step, key: Buffer.from(key, 'base64url').toString('latin1') };
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0;
}

function invalid(message: string, field: string): MemplaneError {
  return new MemplaneError('invalid_cursor', message, { field });
}
