import { MemplaneError } from '@memplane/contracts';
import {
  addDigests,
  type Claim,
  type CounterState,
  decodeContext,
  decodeCounter,
  decodeFlag,
  decodeMap,
  decodeRegister,
  encodeContext,
  encodeCounter,
  encodeFlag,
  encodeMap,
  encodeRegister,
  type FlagState,
  formatDigest,
  type OrMapState,
  type RegisterState,
  recordDigest,
  UNPLACED,
} from '@memplane/crdt';
import { type KeptAlert, keptAlertSchema } from '../domain/alerts.ts';
import type { SetHeader } from '../domain/port.ts';

/**
 * A stored value: format version, length of the key id and the key id (none yet: values are not
 * encrypted), then the body. The body of a counter, register or set begins with its digest.
 */
const FORMAT_VERSION = 1;
const DIGEST_BYTES = 16;
const PAIR_BYTES = 16;
const CLAIM_BYTES = 48;

export function counterRecord(state: CounterState): Buffer {
  const body = encodeCounter(state);
  return sealed(digestBytes(recordDigest(body)), body);
}

/** @throws MemplaneError `storage_damaged`, also where the value does not have its digest */
export function readCounterRecord(record: Buffer): CounterState {
  return decodeCounter(checked(record));
}

export function registerRecord(state: RegisterState): Buffer {
  const body = encodeRegister(state);
  return sealed(digestBytes(recordDigest(body)), body);
}

/** @throws MemplaneError `storage_damaged`, also where the value does not have its digest */
export function readRegisterRecord(record: Buffer): RegisterState {
  return decodeRegister(checked(record));
}

export function flagRecord(state: FlagState): Buffer {
  const body = encodeFlag(state);
  return sealed(digestBytes(recordDigest(body)), body);
}

/** @throws MemplaneError `storage_damaged`, also where the value does not have its digest */
export function readFlagRecord(record: Buffer): FlagState {
  return decodeFlag(checked(record));
}

export function mapRecord(state: OrMapState): Buffer {
  const body = encodeMap(state);
  return sealed(digestBytes(recordDigest(body)), body);
}

/** @throws MemplaneError `storage_damaged`, also where the value does not have its digest */
export function readMapRecord(record: Buffer): OrMapState {
  return decodeMap(checked(record));
}

export function setRecord(header: SetHeader): Buffer {
  const context = encodeContext(header.context);
  const counts = Buffer.alloc(16);
  counts.writeDoubleBE(header.elements, 0);
  counts.writeDoubleBE(header.elementBytes, 8);
  const digest = addDigests(header.elementsDigest, recordDigest(context));
  return sealed(digestBytes(digest), counts, digestBytes(header.elementsDigest), context);
}

/** @throws MemplaneError `storage_damaged`, also where the digests do not fit each other */
export function readSetRecord(record: Buffer): SetHeader {
  const body = opened(record);
  if (body.length < DIGEST_BYTES * 2 + 16) throw damaged('a set is cut short');
  const elementsDigest = bigOf(body, DIGEST_BYTES + 16);
  const context = body.subarray(DIGEST_BYTES * 2 + 16);
  if (addDigests(elementsDigest, recordDigest(context)) !== bigOf(body, 0)) {
    throw damaged('a set does not have its digest');
  }
  return {
    elements: body.readDoubleBE(DIGEST_BYTES),
    elementBytes: body.readDoubleBE(DIGEST_BYTES + 8),
    elementsDigest,
    context: decodeContext(context),
  };
}

function checked(record: Buffer): Buffer {
  const body = opened(record);
  const state = body.subarray(DIGEST_BYTES);
  if (body.length < DIGEST_BYTES || recordDigest(state) !== bigOf(body, 0)) {
    throw damaged('it does not have its digest');
  }
  return state;
}

function bigOf(body: Buffer, at: number): bigint {
  return BigInt(`0x${body.toString('hex', at, at + DIGEST_BYTES)}`);
}

/** The digest of a set's context as it is stored, without reading it. */
export function contextDigest(record: Buffer): bigint {
  return recordDigest(opened(record).subarray(DIGEST_BYTES * 2 + 16));
}

/** The digest that was stored beside a value, as 32 hex digits. */
export function storedDigest(record: Buffer): string {
  return opened(record).toString('hex', 0, DIGEST_BYTES);
}

/** The digest of a state that is one record (all but a set's) as it is stored, without reading it. */
export function computedDigest(record: Buffer): string {
  return formatDigest(recordDigest(opened(record).subarray(DIGEST_BYTES)));
}

export function elementRecord(element: Uint8Array): Buffer {
  return sealed(element);
}

export function opened(record: Buffer): Buffer {
  if (record[0] !== FORMAT_VERSION) throw damaged(`format version ${record[0]}`);
  return record.subarray(2 + (record[1] ?? 0));
}

export function claimRecord({ by, hlc, incarnation, seq, commit }: Claim): Buffer {
  const body = Buffer.alloc(CLAIM_BYTES);
  body.writeDoubleBE(by, 0);
  body.writeBigUInt64BE(hlc, 8);
  body.write(incarnation, PAIR_BYTES, 'hex');
  body.writeDoubleBE(seq, 32);
  body.writeDoubleBE(commit, 40);
  return sealed(body);
}

/** One of before does not say where it was counted. */
export function readClaimRecord(record: Buffer): Claim {
  const body = opened(record);
  if (body.length !== PAIR_BYTES && body.length !== CLAIM_BYTES) {
    throw damaged('an operation id has another length');
  }
  const used = { by: body.readDoubleBE(0), hlc: body.readBigUInt64BE(8) };
  if (body.length === PAIR_BYTES) return { ...used, ...UNPLACED };
  return {
    ...used,
    incarnation: body.toString('hex', PAIR_BYTES, 32),
    seq: body.readDoubleBE(32),
    commit: body.readDoubleBE(40),
  };
}

/** Two whole numbers. */
export function pairRecord(number: number, hlc: bigint): Buffer {
  const body = Buffer.alloc(PAIR_BYTES);
  body.writeDoubleBE(number, 0);
  body.writeBigUInt64BE(hlc, 8);
  return sealed(body);
}

export function readPairRecord(record: Buffer): { readonly number: number; readonly hlc: bigint } {
  const body = opened(record);
  if (body.length !== PAIR_BYTES) throw damaged('two numbers have another length');
  return { number: body.readDoubleBE(0), hlc: body.readBigUInt64BE(8) };
}

export function alertsRecord(alerts: readonly KeptAlert[]): Buffer {
  return sealed(Buffer.from(JSON.stringify(alerts)));
}

export function readAlertsRecord(record: Buffer): KeptAlert[] {
  try {
    return keptAlertSchema.array().parse(JSON.parse(opened(record).toString()));
  } catch {
    throw damaged('the list of alerts');
  }
}

export function sealed(...parts: readonly Uint8Array[]): Buffer {
  return Buffer.concat([Buffer.from([FORMAT_VERSION, 0]), ...parts]);
}

function digestBytes(digest: bigint): Buffer {
  return Buffer.from(formatDigest(digest), 'hex');
}

export function damaged(what: string): MemplaneError {
  return new MemplaneError('storage_damaged', `A stored value is damaged: ${what}.`);
}
