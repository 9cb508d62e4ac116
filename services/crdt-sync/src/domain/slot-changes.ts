import {
  addDigests,
  type Claim,
  type CounterState,
  counterExists,
  counterSum,
  type Dot,
  emptyCounter,
  emptyFlag,
  emptyMap,
  emptyRegister,
  encodeElement,
  type FlagState,
  increment,
  joinCounterInto,
  joinFlagInto,
  joinMapInto,
  joinRegisterInto,
  type OrMapState,
  type RegisterState,
  recordDigest,
  subtractDigests,
} from '@memplane/crdt';
import type { Replica } from './apply.ts';
import type { Slot } from './slot.ts';

// What changes a slot, and keeps all that is derived from its states in step.

/** Turns the increments that a slot has gathered into one delta, and joins it in. */
export function flushIncrements(slot: Slot, replica: Replica): void {
  if (slot.pending === 0) return;
  const by = BigInt(slot.value) - BigInt(slot.valueBefore);
  joinCounterDelta(slot, increment(slot.counter, replica.incarnation, by));
  slot.pending = 0;
  slot.valueBefore = slot.value;
}

/** @returns whether the counter grew; its value is the caller's to set. */
export function joinCounterDelta(slot: Slot, delta: CounterState): boolean {
  const grew = joinCounterInto(slot.counter, delta);
  if (grew) {
    slot.counterDelta ??= emptyCounter();
    joinCounterInto(slot.counterDelta, delta);
    slot.dirty = true;
  }
  return grew;
}

/**
 * Takes note of an increment with an operation id, before it is added. All increments up to the next
 * flush are one of their incarnation, so its number is known already.
 */
export function claimOp(slot: Slot, opId: string, by: number, replica: Replica): void {
  const { incarnation, clock, commit } = replica;
  const seq = (slot.counter.entries.get(incarnation)?.seq ?? 0) + 1;
  const claim: Claim = { by, hlc: clock.tick(), incarnation, seq, commit };
  slot.touchOp(opId);
  slot.knowClaim(opId, claim);
  slot.counterDelta ??= emptyCounter();
  slot.counterDelta.claims ??= new Map();
  slot.counterDelta.claims.set(opId, claim);
}

/** Computes the counter's value anew. No increments may be pending. */
export function recount(slot: Slot): void {
  slot.value = Number(counterSum(slot.counter));
  slot.valueBefore = slot.value;
  slot.exists = counterExists(slot.counter);
}

/** @returns whether the register grew */
export function joinRegisterDelta(slot: Slot, delta: RegisterState): boolean {
  const grew = joinRegisterInto(slot.register, delta);
  if (grew) {
    slot.registerDelta ??= emptyRegister();
    joinRegisterInto(slot.registerDelta, delta);
    slot.dirty = true;
  }
  return grew;
}

/** @returns whether the flag grew */
export function joinFlagDelta(slot: Slot, delta: FlagState): boolean {
  const grew = joinFlagInto(slot.flag, delta);
  if (grew) {
    slot.flagDelta ??= emptyFlag();
    joinFlagInto(slot.flagDelta, delta);
    slot.dirty = true;
  }
  return grew;
}

/** @returns whether the map grew */
export function joinMapDelta(slot: Slot, delta: OrMapState): boolean {
  const grew = joinMapInto(slot.map, delta);
  if (grew) {
    slot.mapDelta ??= emptyMap();
    joinMapInto(slot.mapDelta, delta);
    slot.mapBytes = undefined;
    slot.dirty = true;
  }
  return grew;
}

/** Replaces an element's dots, and keeps the header's counts and digest in step. */
export function setDots(slot: Slot, element: string, dots: readonly Dot[]): void {
  const before = slot.elements.get(element) ?? [];
  const header = slot.set;
  let digest = header.elementsDigest;
  if (before.length > 0) {
    digest = subtractDigests(digest, recordDigest(encodeElement(element, before)));
  }
  if (dots.length > 0) digest = addDigests(digest, recordDigest(encodeElement(element, dots)));
  const stood = before.length > 0 ? 1 : 0;
  const stands = dots.length > 0 ? 1 : 0;
  slot.set = {
    context: header.context,
    elements: header.elements + stands - stood,
    elementBytes: header.elementBytes + (stands - stood) * Buffer.byteLength(element),
    elementsDigest: digest,
  };
  slot.touched.add(element);
  if (dots.length > 0) slot.elements.set(element, dots);
  else slot.elements.delete(element);
}
