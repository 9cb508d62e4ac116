import { MemplaneError } from '@memplane/contracts';
import { decode } from 'cborg';
import { type CausalContext, type ReadonlyContext, sortedByIncarnation } from './context.ts';
import type { Dot } from './dot.ts';
import type { LogParts } from './log-parts.ts';

/**
 * How the parts of states look in CBOR, for the codecs of this package. Each `…Of` function throws
 * MemplaneError `storage_damaged` for what its counterpart did not make.
 */
export const CRDT_FORMAT_VERSION = 1;

/** A sum as a number, or as decimal digits where it is beyond 64 bits. */
export function netForm(net: bigint): bigint | string {
  return BigInt.asIntN(64, net) === net ? net : String(net);
}

export function netOf(form: unknown): bigint {
  if (typeof form === 'string' && /^-?[1-9][0-9]{18,40}$/.test(form)) return BigInt(form);
  return big(form);
}

export function partsForm(parts: LogParts | undefined): unknown {
  if (parts === undefined) return null;
  const sorted = [...parts.byPartition].sort((a, b) => a[0] - b[0]);
  return [
    parts.generation,
    parts.logId,
    sorted.map(([partition, { epoch, offset, value }]) => [partition, epoch, offset, value]),
  ];
}

export function partsOf(form: unknown): LogParts | undefined {
  if (form === null) return undefined;
  const [generation, logId, entries] = list(form);
  return {
    generation: int(generation),
    logId: text(logId),
    byPartition: new Map(
      list(entries).map((entry) => {
        const [partition, epoch, offset, value] = list(entry);
        return [int(partition), { epoch: int(epoch), offset: int(offset), value: int(value) }];
      }),
    ),
  };
}

export function contextForm(context: ReadonlyContext): unknown[] {
  return sortedByIncarnation(context).map(([incarnation, intervals]) => [
    incarnationBytes(incarnation),
    intervals,
  ]);
}

export function contextOfForm(form: unknown): CausalContext {
  return new Map(
    list(form).map((entry) => {
      const [incarnation, intervals] = list(entry);
      return [incarnationText(incarnation), list(intervals).map(int)];
    }),
  );
}

export function dotsForm(dots: readonly Dot[]): unknown[] {
  return dots.map(dotForm);
}

export function dotForm(dot: Dot): unknown[] {
  return [incarnationBytes(dot.incarnation), dot.seq];
}

export function dotsOfForm(form: unknown): Dot[] {
  return list(form).map(dotOfForm);
}

export function dotOfForm(form: unknown): Dot {
  const [incarnation, seq] = list(form);
  return { incarnation: incarnationText(incarnation), seq: int(seq) };
}

/** What follows the version and the type.
 * @throws MemplaneError `storage_damaged` */
export function open(bytes: Uint8Array, type: number): readonly unknown[] {
  return openOneOf(bytes, [type]).members;
}

/** The same, where it may be of one of several types. */
export function openOneOf(
  bytes: Uint8Array,
  types: readonly number[],
): { readonly type: number; readonly members: readonly unknown[] } {
  let form: unknown;
  try {
    form = decode(bytes);
  } catch (cause) {
    throw damaged('not CBOR', cause);
  }
  const [version, actual, ...members] = list(form);
  if (version !== CRDT_FORMAT_VERSION) throw damaged(`format version ${String(version)}`);
  const type = types.find((each) => each === actual);
  if (type === undefined) throw damaged(`type ${String(actual)} in place of ${types.join(' or ')}`);
  return { type, members };
}

export function list(value: unknown): readonly unknown[] {
  if (!Array.isArray(value)) throw damaged('an array was expected');
  return value;
}

export function int(value: unknown): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value)) {
    throw damaged('a whole number was expected');
  }
  return value;
}

/** A whole number from zero on. */
export function natural(value: unknown): number {
  const number = int(value);
  if (number < 0) throw damaged('a number below zero');
  return number;
}

export function bytes(value: unknown): Uint8Array {
  if (value instanceof Uint8Array) return value;
  throw damaged('bytes were expected');
}

export function big(value: unknown): bigint {
  return typeof value === 'bigint' ? value : BigInt(int(value));
}

export function text(value: unknown): string {
  if (typeof value !== 'string') throw damaged('a text was expected');
  return value;
}

export function incarnationBytes(incarnation: string): Uint8Array {
  return Buffer.from(incarnation, 'hex');
}

export function incarnationText(value: unknown): string {
  if (!(value instanceof Uint8Array) || value.length !== 16) {
    throw damaged('an incarnation was expected');
  }
  return Buffer.from(value.buffer, value.byteOffset, value.length).toString('hex');
}

export function damaged(what: string, cause?: unknown): MemplaneError {
  return new MemplaneError('storage_damaged', `A CRDT's record is damaged: ${what}.`, { cause });
}
