import { type Hlc, hlcCounter, hlcToMs, parseHlc } from '@memplane/clock';

/*
 * Beside its value (the CloudEvent, which subscribers see) a record carries two headers, both in
 * ASCII, since sidecars hand headers on as text:
 *
 *   content-type: application/cloudevents+json
 *   memplane:     1.<key id>.<stamp>.<base64url of the two 16-byte digests>
 *
 * 1 is the format's version. The key id names the key that a value is encrypted with, and is empty.
 */
export const CONTENT_TYPE_HEADER = 'content-type';
export const CLOUDEVENT_TYPE = 'application/cloudevents+json';
export const STAMP_HEADER = 'memplane';

/** `1..` stands before it. */
const HLC_AT = 3;
const HLC_CHARS = 17;
const DIGESTS_CHARS = 43;
const DIGESTS_AT = HLC_AT + HLC_CHARS + 1;
export const STAMP_BYTES = DIGESTS_AT + DIGESTS_CHARS;

const DASH = 0x2d;
const DOT = 0x2e;
const DIGEST_BYTES = 16;
/** A number with as many bits as 6 digits have, so that shifts can take it apart. */
const SIX_DIGITS = 2 ** 24;
const HEX = Buffer.from('0123456789abcdef');
const BASE64URL = Buffer.from('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_');

const digests = new Uint8Array(2 * DIGEST_BYTES + 1);

export interface RecordStamp {
  readonly hlc: Hlc;
  readonly idDigest: Uint8Array;
  readonly contentDigest: Uint8Array;
}

/**
 * Writes the header's value, {@link STAMP_BYTES} long: digit by digit, since this is done for every
 * record and texts made for it took a fifth of what encoding it costs.
 * @param ms of the stamp
 */
export function writeStamp(
  to: Buffer,
  at: number,
  stamp: RecordStamp,
  ms = hlcToMs(stamp.hlc),
): void {
  to[at] = 0x31;
  to[at + 1] = to[at + 2] = to[at + DIGESTS_AT - 1] = DOT;
  to[at + HLC_AT + 12] = DASH;
  writeHex(to, at + HLC_AT, 6, Math.floor(ms / SIX_DIGITS));
  writeHex(to, at + HLC_AT + 6, 6, ms % SIX_DIGITS);
  writeHex(to, at + HLC_AT + 13, 4, hlcCounter(stamp.hlc));
  const { idDigest, contentDigest } = stamp;
  for (let i = 0; i < DIGEST_BYTES; i++) {
    digests[i] = idDigest[i] ?? 0;
    digests[DIGEST_BYTES + i] = contentDigest[i] ?? 0;
  }
  // The byte behind the last one is 0: what base64 wants there.
  for (let i = 0, next = at + DIGESTS_AT; i < digests.length; i += 3) {
    const bits = ((digests[i] ?? 0) << 16) | ((digests[i + 1] ?? 0) << 8) | (digests[i + 2] ?? 0);
    to[next++] = BASE64URL[bits >> 18] ?? 0;
    to[next++] = BASE64URL[(bits >> 12) & 63] ?? 0;
    to[next++] = BASE64URL[(bits >> 6) & 63] ?? 0;
    if (next < at + STAMP_BYTES) to[next++] = BASE64URL[bits & 63] ?? 0;
  }
}

function writeHex(to: Buffer, at: number, digits: number, value: number): void {
  for (let i = digits - 1, rest = value; i >= 0; i--, rest >>>= 4) {
    to[at + i] = HEX[rest & 15] ?? 0;
  }
}

/** The stamp of a header's value that begins at `at`; undefined when it is of another format. */
export function readHlc(from: Buffer, at: number, length: number): Hlc | undefined {
  if (length !== STAMP_BYTES || from[at] !== 0x31 || from[at + 1] !== 0x2e) return undefined;
  if (from[at + 2] !== 0x2e || from[at + DIGESTS_AT - 1] !== 0x2e) return undefined;
  let ms = 0;
  for (let i = at + HLC_AT; i < at + HLC_AT + 12; i++) ms = ms * 16 + hexDigit(from[i]);
  let counter = 0;
  for (let i = at + HLC_AT + 13; i < at + HLC_AT + 17; i++)
    counter = counter * 16 + hexDigit(from[i]);
  if (from[at + HLC_AT + 12] !== 0x2d || Number.isNaN(ms) || Number.isNaN(counter))
    return undefined;
  return (BigInt(ms) << 16n) | BigInt(counter);
}

function hexDigit(code: number | undefined): number {
  if (code === undefined) return Number.NaN;
  if (code >= 0x30 && code <= 0x39) return code - 0x30;
  if (code >= 0x61 && code <= 0x66) return code - 0x57;
  return Number.NaN;
}

/** The digests of a header's value that {@link readHlc} has read. */
export function readDigests(
  from: Buffer,
  at: number,
): Pick<RecordStamp, 'idDigest' | 'contentDigest'> {
  const text = from.toString('latin1', at + DIGESTS_AT, at + STAMP_BYTES);
  const both = Buffer.from(text, 'base64url');
  return { idDigest: both.subarray(0, 16), contentDigest: both.subarray(16, 32) };
}

/**
 * The stamp of a record that somebody else has written: that of the CloudEvent itself, else 0.
 * What to do with such a record is for its reader to say.
 */
export function hlcOfValue(value: Buffer): Hlc {
  try {
    const event: unknown = JSON.parse(value.toString('utf8'));
    if (typeof event === 'object' && event !== null && 'hlc' in event) {
      if (typeof event.hlc === 'string') return parseHlc(event.hlc);
    }
  } catch {
    // not JSON, or not a stamp: there is none
  }
  return 0n;
}
