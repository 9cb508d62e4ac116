import type { Reply } from './connection.ts';
import { damaged } from './redis-records.ts';

// What is expected of an answer. @throws MemplaneError `storage_damaged`

export function bytes(reply: Reply | undefined): Buffer {
  if (!Buffer.isBuffer(reply)) throw damaged('an answer is no text');
  return reply;
}

export function list(reply: Reply | undefined): readonly Reply[] {
  if (!Array.isArray(reply)) throw damaged('an answer is no list');
  return reply;
}

export function pairs(flat: readonly Reply[]): [Buffer, Buffer][] {
  const found: [Buffer, Buffer][] = [];
  for (let i = 0; i < flat.length; i += 2) found.push([bytes(flat[i]), bytes(flat[i + 1])]);
  return found;
}
