import { hash } from 'node:crypto';
import { MemplaneError } from '@memplane/contracts';
import { type Claim, type Incarnation, UNPLACED } from '@memplane/crdt';
import type { IncarnationRecord } from '../../domain/port.ts';
import type { CommitVector } from '../../domain/session-token.ts';

/**
 * A stored value, as `lua/1-bytes.lua` seals it: format version, length of the key id and the key
 * id (none yet), 32 hex digits of the SHA-1 of the body, the body. The body of a counter or
 * register is its canonical encoding.
 */
const FORMAT_VERSION = 1;
const CHECKSUM_DIGITS = 32;
export const STAMP_DIGITS = 16;

export interface OpenedRecord {
  readonly body: Buffer;
  /** Whether the body is the one that was written. */
  readonly isIntact: boolean;
  readonly checksum: string;
}

/** @param highestVersion of its format that is understood */
export function openRecord(record: Buffer, highestVersion = FORMAT_VERSION): OpenedRecord {
  const rest = openBare(record, highestVersion);
  const body = rest.subarray(CHECKSUM_DIGITS);
  const checksum = rest.toString('latin1', 0, CHECKSUM_DIGITS);
  return { body, checksum, isIntact: checksumOf(body) === checksum };
}

/** One without a checksum of its own. */
export function openBare(record: Buffer, highestVersion = FORMAT_VERSION): Buffer {
  const [version = 0] = record;
  if (version < 1 || version > highestVersion) throw damaged(`format version ${version}`);
  return record.subarray(2 + (record[1] ?? 0));
}

export function sealBare(body: Buffer): Buffer {
  return Buffer.concat([Buffer.from([FORMAT_VERSION, 0]), body]);
}

export function checksumOf(body: Uint8Array): string {
  return hash('sha1', body, 'hex').slice(0, CHECKSUM_DIGITS);
}

/** As `lua/2-claims.lua` writes it. One of before does not say where it was counted. */
export function readClaim(record: Buffer): Claim {
  const place = / ([0-9a-f]{32}) (\d{1,16}) (\d{1,16})$/.exec(openBare(record).toString('latin1'));
  if (place === null) {
    const [by, hlc] = readPair(record);
    return { by, hlc, ...UNPLACED };
  }
  const [by, hlc] = readPair(record.subarray(0, record.length - place[0].length));
  const [, incarnation = '', seq, commit] = place;
  return { by, hlc, incarnation, seq: Number(seq), commit: Number(commit) };
}

/** The same as {@link readClaim} reads. */
export function sealClaim({ by, hlc, incarnation, seq, commit }: Claim): Buffer {
  return sealBare(Buffer.from(`${by} ${stampText(hlc)} ${incarnation} ${seq} ${commit}`));
}

export function readIncarnation(incarnation: string, record: Buffer): IncarnationRecord {
  const [commits, hlc] = readPair(record);
  return { incarnation, commits, hlc };
}

/**
 * Up to which commit of each incarnation all is there. A damaged entry counts as none: what is known
 * may be too little, is then told by others again, and put right.
 */
export function readVector(entries: readonly (readonly [Buffer, Buffer])[]): CommitVector {
  const vector = new Map<Incarnation, number>();
  for (const [incarnation, record] of entries) {
    try {
      vector.set(incarnation.toString(), readIncarnation('', record).commits);
    } catch (error) {
      if (!(error instanceof MemplaneError)) throw error;
    }
  }
  return vector;
}

/** 16 hex digits, as the functions compare stamps. */
export function stampText(hlc: bigint): string {
  return hlc.toString(16).padStart(STAMP_DIGITS, '0');
}

/** What {@link stampText} wrote. */
export function readStamp(text: string): bigint {
  if (!/^[0-9a-f]{16}$/.test(text)) throw damaged('a stamp');
  return BigInt(`0x${text}`);
}

function readPair(record: Buffer): [number, bigint] {
  const match = /^(-?\d{1,16}) ([0-9a-f]{16})$/.exec(openBare(record).toString('latin1'));
  if (match === null) throw damaged('a pair of numbers');
  return [Number(match[1]), BigInt(`0x${match[2]}`)];
}

export function damaged(what: string): MemplaneError {
  return new MemplaneError('storage_damaged', `A value stored in Redis is damaged: ${what}.`);
}
