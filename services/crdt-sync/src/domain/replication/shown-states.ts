import { MemplaneError } from '@memplane/contracts';
import type { CommitVector } from '../session-token.ts';

/** States as one replica gives them to another, with all that reads of them may have shown there. */
export interface ShownStates {
  /** Taken after the states were read, so that it covers them. */
  readonly shown: CommitVector;
  readonly states: Uint8Array;
}

const COUNT_BYTES = 4;
const INCARNATION_BYTES = 16;
const ENTRY_BYTES = INCARNATION_BYTES + 6;

/** `count, (incarnation, commits)…, states` */
export function encodeShown({ shown, states }: ShownStates): Uint8Array {
  const head = Buffer.alloc(COUNT_BYTES + shown.size * ENTRY_BYTES);
  head.writeUInt32BE(shown.size, 0);
  let at = COUNT_BYTES;
  for (const [incarnation, commits] of shown) {
    head.write(incarnation, at, 'hex');
    head.writeUIntBE(commits, at + INCARNATION_BYTES, ENTRY_BYTES - INCARNATION_BYTES);
    at += ENTRY_BYTES;
  }
  return Buffer.concat([head, states]);
}

/** @throws MemplaneError `dependency_unavailable` for what {@link encodeShown} did not write */
export function decodeShown(message: Uint8Array): ShownStates {
  const bytes = Buffer.from(message.buffer, message.byteOffset, message.byteLength);
  const count = bytes.length < COUNT_BYTES ? -1 : bytes.readUInt32BE(0);
  const end = COUNT_BYTES + count * ENTRY_BYTES;
  if (count < 0 || end > bytes.length) {
    throw new MemplaneError('dependency_unavailable', 'Another replica speaks otherwise.');
  }
  const shown = new Map<string, number>();
  for (let at = COUNT_BYTES; at < end; at += ENTRY_BYTES) {
    const commits = bytes.readUIntBE(at + INCARNATION_BYTES, ENTRY_BYTES - INCARNATION_BYTES);
    shown.set(bytes.toString('hex', at, at + INCARNATION_BYTES), commits);
  }
  return { shown, states: bytes.subarray(end) };
}
