import { fnv1a, fromBase64Url, readUint32, toBase64Url } from './base64url.ts';
import { MemplaneError } from './errors.ts';
import { type Cut, cutInEpoch, PARTITIONS_MAX } from './position.ts';
import { pushVarint } from './varint.ts';

const PREFIX = 'mpt_';
/** Of a log that never grew: without the number of partitions. */
const FORMAT_PLAIN = 1;
const FORMAT_GROWN = 2;
const TOKEN_CHARS_MAX = 8192;

/**
 * Writes a cut as an opaque token: `mpt_` and base64url of
 * version, log id (16 bytes), epoch, partitions (version 2 only), time + 1 or 0, count,
 * (partition, offset + 1)…, FNV-1a checksum. Version 2 is written from epoch 1 on: with the number of
 * partitions, cuts of several epochs can be joined by whoever holds them. Numbers are LEB128. The checksum finds slips of the hand; it is no signature. Nothing here needs
 * Node: the client runs this wherever there is `fetch`.
 */
export function encodeToken(cut: Cut): string {
  const { partitions = 0 } = cut;
  const version = cut.epoch > 0 && partitions > 0 ? FORMAT_GROWN : FORMAT_PLAIN;
  const bytes: number[] = [version];
  for (const byte of uuidToBytes(cut.logId)) bytes.push(byte);
  pushVarint(bytes, cut.epoch);
  if (version === FORMAT_GROWN) pushVarint(bytes, partitions);
  pushVarint(bytes, cut.timeMs === undefined ? 0 : cut.timeMs + 1);
  const offsets = [...cut.offsets].sort((a, b) => a[0] - b[0]);
  pushVarint(bytes, offsets.length);
  for (const [partition, offset] of offsets) {
    pushVarint(bytes, partition);
    pushVarint(bytes, offset + 1);
  }
  let sum = fnv1a(bytes);
  for (let i = 0; i < 4; i++, sum >>>= 8) bytes.push(sum & 0xff);
  return PREFIX + toBase64Url(bytes);
}

/**
 * Reads a token.
 * @throws MemplaneError `invalid_token` for anything that {@link encodeToken} did not write.
 */
export function decodeToken(token: string, field = 'token'): Cut {
  if (token.length > TOKEN_CHARS_MAX || !/^mpt_[A-Za-z0-9_-]+$/.test(token)) throw invalid(field);
  const bytes = fromBase64Url(token.slice(PREFIX.length));
  if (bytes === undefined || bytes.length < 24) throw invalid(field);
  if (toBase64Url(bytes) !== token.slice(PREFIX.length)) throw invalid(field);
  const body = bytes.subarray(0, bytes.length - 4);
  if (fnv1a(body) !== readUint32(bytes, bytes.length - 4)) throw invalid(field);
  const version = body[0];
  if (version !== FORMAT_PLAIN && version !== FORMAT_GROWN) throw invalid(field);
  const reader = { bytes: body, at: 17, field };
  const epoch = readVarint(reader);
  const partitions = version === FORMAT_GROWN ? readVarint(reader) : undefined;
  if (partitions === 0 || (partitions ?? 0) > PARTITIONS_MAX) throw invalid(field);
  const time = readVarint(reader);
  const count = readVarint(reader);
  if (count > PARTITIONS_MAX) throw invalid(field);
  const offsets = new Map<number, number>();
  for (let i = 0; i < count; i++) offsets.set(readVarint(reader), readVarint(reader) - 1);
  if (reader.at !== body.length || offsets.size !== count) throw invalid(field);
  const logId = bytesToUuid(body.subarray(1, 17));
  const cut = partitions === undefined ? { logId, epoch } : { logId, epoch, partitions };
  return time === 0 ? { ...cut, offsets } : { ...cut, offsets, timeMs: time - 1 };
}

/**
 * The smallest cut that includes all of them, in the newest of their epochs.
 * @throws `token_of_another_log` when logs differ; `invalid_token` when epochs do and the newest
 * does not tell its number of partitions.
 */
export function joinCuts(cuts: readonly [Cut, ...Cut[]]): Cut {
  const [first] = cuts;
  const { logId } = first;
  let newest = first;
  for (const cut of cuts) {
    if (cut.logId !== logId) {
      throw new MemplaneError('token_of_another_log', 'The tokens are of different logs.');
    }
    const isNewer = cut.epoch - newest.epoch || (cut.partitions ?? 0) - (newest.partitions ?? 0);
    if (isNewer > 0) newest = cut;
  }
  const { epoch, partitions } = newest;
  const offsets = new Map<number, number>();
  for (const cut of cuts) {
    if (cut.epoch !== epoch && partitions === undefined) throw invalid('token');
    const moved = partitions === undefined ? cut : cutInEpoch(cut, { epoch, partitions });
    for (const [partition, offset] of moved.offsets) {
      offsets.set(partition, Math.max(offset, offsets.get(partition) ?? -1));
    }
  }
  return partitions === undefined
    ? { logId, epoch, offsets }
    : { logId, epoch, partitions, offsets };
}

function invalid(field: string): MemplaneError {
  return new MemplaneError('invalid_token', 'This is no token that the plane has given out.', {
    field,
  });
}

function readVarint(reader: { bytes: Uint8Array; at: number; field: string }): number {
  let value = 0;
  let scale = 1;
  for (let i = 0; i < 8; i++) {
    const byte = reader.bytes[reader.at++];
    if (byte === undefined) break;
    value += (byte & 0x7f) * scale;
    if (byte < 0x80) {
      if (!Number.isSafeInteger(value)) break;
      return value;
    }
    scale *= 0x80;
  }
  throw invalid(reader.field);
}

function uuidToBytes(uuid: string): Uint8Array {
  const hex = uuid.replaceAll('-', '');
  const bytes = new Uint8Array(16);
  for (let i = 0; i < 16; i++) bytes[i] = Number.parseInt(hex.slice(i * 2, i * 2 + 2), 16);
  return bytes;
}

function bytesToUuid(bytes: Uint8Array): string {
  let hex = '';
  for (const byte of bytes) hex += byte.toString(16).padStart(2, '0');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}
