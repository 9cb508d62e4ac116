import { hash } from 'node:crypto';
import { encode } from 'cborg';
import type { CausalContext, ReadonlyContext } from './context.ts';
import type { CounterState } from './counter.ts';
import { encodeCounter } from './counter-codec.ts';
import type { Dot } from './dot.ts';
import {
  big,
  CRDT_FORMAT_VERSION,
  contextForm,
  contextOfForm,
  dotForm,
  dotOfForm,
  dotsForm,
  dotsOfForm,
  list,
  open,
  text,
} from './forms.ts';
import { type OrSetState, sortedElements } from './or-set.ts';
import { type Json, type RegisterState, registerOf } from './register-state.ts';

export { decodeCounter, encodeCounter } from './counter-codec.ts';
export { CRDT_FORMAT_VERSION } from './forms.ts';

/**
 * Canonical CBOR (RFC 8949 §4.2: shortest integers and floats, definite lengths, sorted keys) of
 * arrays in canonical order: one state has one encoding, however it came about. Each begins with
 * the format version and the type. Counters are in `counter-codec.ts`.
 */
const SET = 2;
const REGISTER = 3;
const CONTEXT = 4;
const ELEMENT = 5;

export function encodeSet(state: OrSetState): Uint8Array {
  const elements = sortedElements(state).map(([element, dots]) => [element, dotsForm(dots)]);
  return encode([CRDT_FORMAT_VERSION, SET, contextForm(state.context), elements]);
}

/** @throws MemplaneError `storage_damaged` */
export function decodeSet(bytes: Uint8Array): OrSetState {
  const [context, elements] = open(bytes, SET);
  return {
    context: contextOfForm(context),
    elements: new Map(
      list(elements).map((entry) => {
        const [element, dots] = list(entry);
        return [text(element), dotsOfForm(dots)];
      }),
    ),
  };
}

export function encodeRegister(state: RegisterState): Uint8Array {
  const versions = state.versions.map(({ dot, hlc, replica, value }) => [
    dotForm(dot),
    hlc,
    replica,
    value,
  ]);
  return encode([CRDT_FORMAT_VERSION, REGISTER, contextForm(state.context), versions]);
}

/** @throws MemplaneError `storage_damaged` */
export function decodeRegister(bytes: Uint8Array): RegisterState {
  const [context, versions] = open(bytes, REGISTER);
  const read = list(versions).map((entry) => {
    const [dot, hlc, replica, value] = list(entry);
    return { dot: dotOfForm(dot), hlc: big(hlc), replica: text(replica), value: value as Json };
  });
  return registerOf(read, contextOfForm(context));
}

/** A set's context alone: a large set is stored as this and one record an element. */
export function encodeContext(context: ReadonlyContext): Uint8Array {
  return encode([CRDT_FORMAT_VERSION, CONTEXT, contextForm(context)]);
}

/** @throws MemplaneError `storage_damaged` */
export function decodeContext(bytes: Uint8Array): CausalContext {
  const [context] = open(bytes, CONTEXT);
  return contextOfForm(context);
}

/** One element of a set with its dots. */
export function encodeElement(element: string, dots: readonly Dot[]): Uint8Array {
  return encode([CRDT_FORMAT_VERSION, ELEMENT, element, dotsForm(dots)]);
}

/** @throws MemplaneError `storage_damaged` */
export function decodeElement(bytes: Uint8Array): { element: string; dots: readonly Dot[] } {
  const [element, dots] = open(bytes, ELEMENT);
  return { element: text(element), dots: dotsOfForm(dots) };
}

/** A register's value by itself, the same bytes that it has within the register. */
export function encodeJson(value: Json): Uint8Array {
  return encode(value);
}

const DIGEST_MASK = (1n << 128n) - 1n;

/**
 * The digest of a state kept as several records: the sum, modulo 2^128, of the SHA-256 of each
 * canonical record, cut to 128 bits. It does not depend on order, and a change of one record
 * changes it in O(1): add the new one's, subtract the old one's. It finds accidents; it is no
 * defence against somebody who makes up records.
 */
export function recordDigest(record: Uint8Array): bigint {
  return BigInt(`0x${hash('sha256', record, 'hex').slice(0, 32)}`);
}

export function addDigests(a: bigint, b: bigint): bigint {
  return (a + b) & DIGEST_MASK;
}

export function subtractDigests(a: bigint, b: bigint): bigint {
  return (a - b) & DIGEST_MASK;
}

/** 32 hex digits. */
export function formatDigest(digest: bigint): string {
  return digest.toString(16).padStart(32, '0');
}

export function counterDigest(state: CounterState): bigint {
  return recordDigest(encodeCounter(state));
}

export function registerDigest(state: RegisterState): bigint {
  return recordDigest(encodeRegister(state));
}

export function setDigest(state: OrSetState): bigint {
  let digest = recordDigest(encodeContext(state.context));
  for (const [element, dots] of state.elements) {
    digest = addDigests(digest, recordDigest(encodeElement(element, dots)));
  }
  return digest;
}
