import { checkShape, type DecodeLimits, expectSameBytes } from './bounded-cbor.ts';
import * as codec from './codec.ts';
import type { CounterState } from './counter.ts';
import { decodeClaimedCounter, encodeClaimedCounter } from './counter-codec.ts';
import type { RegisterState } from './lww-register.ts';
import type { OrSetState } from './or-set.ts';
import { checkContext, checkCounter, checkJson, StandingDots } from './well-formed.ts';

/*
 * The first three types as they come from a network, where nothing is trusted: bounded, canonical,
 * well-formed. Each throws MemplaneError `storage_damaged`, `body_too_large` or `too_deep`.
 */

export function decodeCounterStrictly(bytes: Uint8Array, limits?: DecodeLimits): CounterState {
  checkShape(bytes, limits);
  const state = codec.decodeCounter(bytes);
  checkCounter(state);
  expectSameBytes(bytes, codec.encodeCounter(state));
  return state;
}

/** With its claims. */
export function decodeClaimedCounterStrictly(
  bytes: Uint8Array,
  limits?: DecodeLimits,
): CounterState {
  checkShape(bytes, limits);
  const state = decodeClaimedCounter(bytes);
  checkCounter(state);
  expectSameBytes(bytes, encodeClaimedCounter(state));
  return state;
}

export function decodeSetStrictly(bytes: Uint8Array, limits?: DecodeLimits): OrSetState {
  checkShape(bytes, limits);
  const state = codec.decodeSet(bytes);
  checkContext(state.context);
  const standing = new StandingDots(state.context);
  for (const dots of state.elements.values()) standing.check(dots);
  expectSameBytes(bytes, codec.encodeSet(state));
  return state;
}

export function decodeRegisterStrictly(bytes: Uint8Array, limits?: DecodeLimits): RegisterState {
  checkShape(bytes, limits);
  const state = codec.decodeRegister(bytes);
  checkContext(state.context);
  for (const { value } of state.versions) checkJson(value);
  const dots = state.versions.map((version) => version.dot);
  if (dots.length > 0) new StandingDots(state.context).check(dots);
  expectSameBytes(bytes, codec.encodeRegister(state));
  return state;
}
