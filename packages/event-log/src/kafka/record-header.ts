import { formatHlc, type Hlc, parseHlc } from '@memplane/clock';

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

const PREFIX = '1..';
const HLC_CHARS = 17;
const DIGESTS_CHARS = 43;
const HLC_AT = PREFIX.length;
const DIGESTS_AT = HLC_AT + HLC_CHARS + 1;
export const STAMP_BYTES = DIGESTS_AT + DIGESTS_CHARS;

const digests = Buffer.alloc(32);

export interface RecordStamp {
  readonly hlc: Hlc;
  readonly idDigest: Uint8Array;
  readonly contentDigest: Uint8Array;
}

/** Writes the header's value, {@link STAMP_BYTES} long. */
export function writeStamp(to: Buffer, at: number, stamp: RecordStamp): void {
  digests.set(stamp.idDigest, 0);
  digests.set(stamp.contentDigest, 16);
  to.write(`${PREFIX}${formatHlc(stamp.hlc)}.${digests.toString('base64url')}`, at, 'latin1');
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
