import { encode } from 'cborg';
import { type DecodeLimits, expectSameBytes, openBounded } from '../bounded-cbor.ts';
import type { Incarnation } from '../dot.ts';
import * as form from '../forms.ts';
import type { CommitRange } from '../replica-delta.ts';
import type { ReadonlyVector, Vector } from './vector.ts';
import { vectorForm, vectorOfForm } from './vector-form.ts';

const VECTOR = 17;
const DELTAS = 18;
const BEHIND = 19;
const IS_WHOLE = 1;
const WANTS_WHOLE = 2;
const REFUSES = 4;

/** What the sender has joined in. Within one life it only grows. */
export interface VectorMessage {
  readonly kind: 'vector';
  /** Names the sender's life; the higher is the later. */
  readonly life: number;
  /** Counts up within a life. */
  readonly sequence: number;
  /** The incarnation that the sender commits under now, which it sends to all by itself. */
  readonly own: Incarnation;
  /** Of the whole vector. */
  readonly digest: number;
  /** Whether `entries` are all there are, or those that have changed since the last message. */
  readonly isWhole: boolean;
  /** The sender does not know the reader's whole vector. */
  readonly wantsWhole: boolean;
  /** What was sent last does not fit, and must be made anew from this vector. */
  readonly refuses: boolean;
  readonly entries: Vector;
}

/** The joined changes of some commits. Built on a vector that the reader told in its life `reader`. */
export interface DeltasMessage {
  readonly kind: 'deltas';
  readonly reader: number;
  readonly ranges: readonly CommitRange[];
  /** What the reader must have besides, since these commits may depend on it. */
  readonly causes: ReadonlyVector;
  readonly delta: Uint8Array;
}

/** The sender does not keep all that the reader lacks: it has to compare states. */
export interface BehindMessage {
  readonly kind: 'behind';
  readonly reader: number;
}

export type ReplicationMessage = VectorMessage | DeltasMessage | BehindMessage;

export function encodeMessage(message: ReplicationMessage): Uint8Array {
  switch (message.kind) {
    case 'vector': {
      const { life, sequence, digest } = message;
      const own = form.incarnationBytes(message.own);
      let flags = message.isWhole ? IS_WHOLE : 0;
      if (message.wantsWhole) flags |= WANTS_WHOLE;
      if (message.refuses) flags |= REFUSES;
      const entries = vectorForm(message.entries);
      return encode([
        form.CRDT_FORMAT_VERSION,
        VECTOR,
        life,
        sequence,
        own,
        digest,
        flags,
        entries,
      ]);
    }
    case 'deltas': {
      const ranges = message.ranges.map(({ incarnation, after, upTo }) => [
        form.incarnationBytes(incarnation),
        after,
        upTo,
      ]);
      const causes = vectorForm(message.causes);
      const { reader, delta } = message;
      return encode([form.CRDT_FORMAT_VERSION, DELTAS, reader, ranges, causes, delta]);
    }
    case 'behind':
      return encode([form.CRDT_FORMAT_VERSION, BEHIND, message.reader]);
  }
}

/** @throws MemplaneError `storage_damaged`, `body_too_large`, `too_deep` */
export function decodeMessage(bytes: Uint8Array, limits?: DecodeLimits): ReplicationMessage {
  const message = messageOf(bytes, limits);
  expectSameBytes(bytes, encodeMessage(message));
  return message;
}

function messageOf(bytes: Uint8Array, limits: DecodeLimits | undefined): ReplicationMessage {
  // An array of up to 23 values, its version, then the kind: which of them it is.
  switch (bytes[2]) {
    case VECTOR:
      return vectorOf(openBounded(bytes, VECTOR, limits));
    case DELTAS:
      return deltasOf(openBounded(bytes, DELTAS, limits));
    default: {
      const [reader] = openBounded(bytes, BEHIND, limits);
      return { kind: 'behind', reader: form.natural(reader) };
    }
  }
}

function vectorOf(parts: readonly unknown[]): VectorMessage {
  const [life, sequence, own, digest, flagsForm, entriesForm] = parts;
  const flags = form.natural(flagsForm);
  return {
    kind: 'vector',
    life: form.natural(life),
    sequence: form.natural(sequence),
    own: form.incarnationText(own),
    digest: form.natural(digest),
    isWhole: (flags & IS_WHOLE) !== 0,
    wantsWhole: (flags & WANTS_WHOLE) !== 0,
    refuses: (flags & REFUSES) !== 0,
    entries: vectorOfForm(entriesForm),
  };
}

function deltasOf([reader, rangesForm, causesForm, delta]: readonly unknown[]): DeltasMessage {
  const ranges = form.list(rangesForm).map((entry) => {
    const [incarnation, afterForm, upToForm] = form.list(entry);
    const after = form.natural(afterForm);
    const upTo = form.natural(upToForm);
    if (upTo <= after) throw form.damaged('a range');
    return { incarnation: form.incarnationText(incarnation), after, upTo };
  });
  const causes = vectorOfForm(causesForm);
  return {
    kind: 'deltas',
    reader: form.natural(reader),
    ranges,
    causes,
    delta: form.bytes(delta),
  };
}
