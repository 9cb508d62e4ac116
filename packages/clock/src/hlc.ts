import { MemplaneError } from '@memplane/contracts';

/**
 * A hybrid logical stamp as one number: milliseconds since 1970 in the upper 48 bits, a counter in
 * the lower 16. Stamps compare as numbers do, and adding one carries from the counter into the
 * milliseconds by itself.
 */
export type Hlc = bigint;

/** The bits of the counter. */
export const HLC_COUNTER_BITS = 16n;

/** The highest stamp that can be written: 48 bits of milliseconds, the year 10889. */
export const HLC_MAX: Hlc = (1n << 64n) - 1n;

const COUNTER_MASK = 0xffffn;
const TEXT = /^[0-9a-f]{12}-[0-9a-f]{4}$/;

/** The first stamp of a millisecond. `ms` is whole milliseconds since 1970, not negative. */
export function firstHlcOf(ms: number): Hlc {
  return BigInt(ms) << HLC_COUNTER_BITS;
}

/** The last stamp of a millisecond: what a cut at that time includes. */
export function lastHlcOf(ms: number): Hlc {
  return (BigInt(ms) << HLC_COUNTER_BITS) | COUNTER_MASK;
}

/** The physical part of a stamp, in milliseconds since 1970. */
export function hlcToMs(hlc: Hlc): number {
  return Number(hlc >> HLC_COUNTER_BITS);
}

/** The logical part of a stamp, 0 … 65535. */
export function hlcCounter(hlc: Hlc): number {
  return Number(hlc & COUNTER_MASK);
}

/** The text form: 12 hex digits of milliseconds, a dash, 4 hex digits of counter. Sorts as stamps do. */
export function formatHlc(hlc: Hlc): string {
  const ms = hlcToMs(hlc).toString(16).padStart(12, '0');
  return `${ms}-${hlcCounter(hlc).toString(16).padStart(4, '0')}`;
}

/**
 * Reads the text form.
 * @throws MemplaneError `invalid_request` when the text is not one.
 */
export function parseHlc(text: string): Hlc {
  if (!TEXT.test(text)) {
    throw new MemplaneError('invalid_request', 'This is not a hybrid logical clock stamp', {
      field: 'hlc',
    });
  }
  const ms = Number.parseInt(text.slice(0, 12), 16);
  return (BigInt(ms) << HLC_COUNTER_BITS) | BigInt(Number.parseInt(text.slice(13), 16));
}
