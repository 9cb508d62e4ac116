import { encode } from 'cborg';
import { type DecodeLimits, expectSameBytes, openBounded } from './bounded-cbor.ts';
import type { Acknowledgement, DeltaInterval, DeltaPosition } from './delta-buffer.ts';
import * as form from './forms.ts';

const INTERVAL = 13;
const ACKNOWLEDGEMENT = 14;

/** @param toBytes the canonical encoding of the delta, e.g. `encodeKeyed` */
export function encodeInterval<S>(
  { log, reader, after, upTo, delta }: DeltaInterval<S>,
  toBytes: (delta: S) => Uint8Array,
): Uint8Array {
  const names = [form.incarnationBytes(log), form.incarnationBytes(reader)];
  return encode([form.CRDT_FORMAT_VERSION, INTERVAL, ...names, after, upTo, toBytes(delta)]);
}

/**
 * @param ofBytes must bound and check what it reads, as `decodeKeyed` does
 * @throws MemplaneError `storage_damaged`, `body_too_large`, `too_deep`
 */
export function decodeInterval<S>(
  bytes: Uint8Array,
  ofBytes: (bytes: Uint8Array, limits?: DecodeLimits) => S,
  limits?: DecodeLimits,
): DeltaInterval<S> {
  const [id, readerForm, afterForm, upToForm, delta] = openBounded(bytes, INTERVAL, limits);
  const log = form.incarnationText(id);
  const reader = form.incarnationText(readerForm);
  const after = form.int(afterForm);
  const upTo = form.int(upToForm);
  if (after < 0 || upTo <= after) throw form.damaged('an interval');
  if (!(delta instanceof Uint8Array)) throw form.damaged('a delta was expected');
  expectSameBytes(
    bytes,
    encodeInterval({ log, reader, after, upTo, delta }, (same) => same),
  );
  return { log, reader, after, upTo, delta: ofBytes(delta, limits) };
}

export function encodeAcknowledgement({ reader, position }: Acknowledgement): Uint8Array {
  const held = position && [form.incarnationBytes(position.log), position.upTo];
  return encode([
    form.CRDT_FORMAT_VERSION,
    ACKNOWLEDGEMENT,
    form.incarnationBytes(reader),
    held ?? null,
  ]);
}

/** @throws MemplaneError `storage_damaged`, `body_too_large`, `too_deep` */
export function decodeAcknowledgement(bytes: Uint8Array, limits?: DecodeLimits): Acknowledgement {
  const [readerForm, held] = openBounded(bytes, ACKNOWLEDGEMENT, limits);
  const reader = form.incarnationText(readerForm);
  const read = { reader, position: held === null ? undefined : positionOf(held) };
  expectSameBytes(bytes, encodeAcknowledgement(read));
  return read;
}

function positionOf(value: unknown): DeltaPosition {
  const [id, upToForm] = form.list(value);
  const position = { log: form.incarnationText(id), upTo: form.int(upToForm) };
  if (position.upTo < 0) throw form.damaged('a position');
  return position;
}
