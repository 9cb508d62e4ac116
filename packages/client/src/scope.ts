import { MemplaneError } from './errors.ts';

/** Whose memory it is. The first that is given, in this order, is the entity. */
export interface Scope {
  readonly userId?: string;
  readonly agentId?: string;
  readonly sessionId?: string;
}

const KINDS = [
  ['userId', 'user'],
  ['agentId', 'agent'],
  ['sessionId', 'session'],
] as const;

const ENTITY_BYTES_MAX = 256;

/** The members of a scope that are given, as they are written into a memory's metadata. */
export function scopeMetadata(scope: Scope): Record<string, string> {
  const metadata: Record<string, string> = {};
  for (const [name] of KINDS) {
    const id = scope[name];
    if (id === undefined) continue;
    if (typeof id !== 'string' || id === '') {
      throw new MemplaneError('invalid_argument', `${name} must be a text that is not empty.`, {
        field: name,
      });
    }
    metadata[name] = id;
  }
  return metadata;
}

/** The entity of a scope, e.g. `user/42`. @throws MemplaneError `invalid_argument` without any. */
export function scopeEntity(scope: Scope): string {
  for (const [name, kind] of KINDS) {
    const id = scope[name];
    if (id !== undefined) return entityOf(kind, id);
  }
  throw new MemplaneError('invalid_argument', 'Give userId, agentId or sessionId.', {
    field: 'userId',
  });
}

/** `kind/id` for any outside id: bytes that an entity can't hold are written as `~hh`. */
export function entityOf(kind: string, id: string): string {
  const entity = `${escapeId(kind)}/${escapeId(id)}`;
  if (entity.length > ENTITY_BYTES_MAX) {
    throw new MemplaneError(
      'invalid_argument',
      `An id makes an entity of ${entity.length} bytes.`,
      {
        field: 'id',
        extra: { limit: 'entity_bytes_max', max: ENTITY_BYTES_MAX },
      },
    );
  }
  return entity;
}

/**
 * Writes an outside id in the letters of an entity: `[A-Za-z0-9._@-]` stay, each other byte of its
 * UTF-8, and `~` itself, becomes `~hh`. `.` and `..`, which paths would swallow, are written whole.
 */
export function escapeId(id: string): string {
  if (id === '') {
    throw new MemplaneError('invalid_argument', 'An id must not be empty.', { field: 'id' });
  }
  if (id === '.' || id === '..') return '~2e'.repeat(id.length);
  if (/^[A-Za-z0-9._@-]+$/.test(id)) return id;
  let text = '';
  for (const byte of new TextEncoder().encode(id)) {
    const char = String.fromCharCode(byte);
    text += /[A-Za-z0-9._@-]/.test(char) ? char : `~${byte.toString(16).padStart(2, '0')}`;
  }
  return text;
}

/** The outside id again. */
export function unescapeId(text: string): string {
  if (!text.includes('~')) return text;
  const bytes: number[] = [];
  for (let i = 0; i < text.length; i++) {
    const hex = text[i] === '~' ? /^[0-9a-f]{2}/.exec(text.slice(i + 1))?.[0] : undefined;
    if (hex === undefined) bytes.push(text.charCodeAt(i));
    else {
      bytes.push(Number.parseInt(hex, 16));
      i += 2;
    }
  }
  return new TextDecoder().decode(new Uint8Array(bytes));
}

/** A client's id of a memory: `kind/id#memoryId`. */
export function joinMemoryId(entity: string, memoryId: string): string {
  return `${entity}#${memoryId}`;
}

export function splitMemoryId(id: string): { entity: string; memoryId: string } {
  const hash = id.indexOf('#');
  if (!/^[^/#]+\/[^/#]+#.+$/s.test(id)) {
    throw new MemplaneError('invalid_argument', `"${id}" is no memory id: kind/id#memoryId.`, {
      field: 'id',
    });
  }
  return { entity: id.slice(0, hash), memoryId: id.slice(hash + 1) };
}
