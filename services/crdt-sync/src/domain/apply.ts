import type { HybridClock } from '@memplane/clock';
import { MemplaneError } from '@memplane/contracts';
import {
  addElement,
  type CounterState,
  castVote,
  checkKind,
  cloneFlag,
  counterSum,
  emptyCounter,
  type Incarnation,
  increment,
  joinContextInto,
  readRegister,
  removeElement,
  resetCounter,
  resetRegister,
  writeRegister,
} from '@memplane/crdt';
import { applyJoin } from './apply-join.ts';
import { applyToMap, isOfMap, type MapLimits, resetMapOf } from './apply-map.ts';
import type { Command, PartUpdate } from './command.ts';
import type { CrdtType } from './port.ts';
import * as refusals from './refusals.ts';
import type { Slot } from './slot.ts';
import {
  claimOp,
  flushIncrements,
  joinCounterDelta,
  joinFlagDelta,
  joinRegisterDelta,
  recount,
  setDots,
} from './slot-changes.ts';

/** What mutations take from the replica. */
export interface Replica {
  readonly id: string;
  readonly incarnation: Incarnation;
  readonly clock: HybridClock;
  /** The number of the commit that the batch will be. */
  readonly commit: number;
}

export interface ApplyLimits extends refusals.OpLimits, MapLimits {
  readonly set_elements_max: number;
  readonly set_bytes_max: number;
}

/**
 * Does one command to its slot, all of whose parts are loaded, and writes its outcome.
 * @throws MemplaneError; the slot is then unchanged.
 */
export function apply(command: Command, slot: Slot, replica: Replica, limits: ApplyLimits): void {
  const { outcome } = command;
  if (isOfMap(command)) {
    expectType(slot, 'map');
    applyToMap(command, slot, replica, limits);
    return;
  }
  switch (command.type) {
    case 'increment':
      applyIncrement(command, slot, replica, limits);
      return;
    case 'counter-get':
      expectType(slot, 'counter');
      outcome.number = safe(slot.value);
      outcome.flag = slot.exists;
      return;
    case 'counter-reset':
      expectType(slot, 'counter');
      outcome.number = resetCounterOf(slot, replica) ? 1 : 0;
      return;
    case 'part-put':
      applyPart(command, slot, replica);
      return;
    case 'set-add':
      applyAdds(command, slot, replica, limits);
      return;
    case 'set-remove':
      applyRemoves(command, slot);
      return;
    case 'set-has':
      expectType(slot, 'set');
      outcome.number = command.elements.filter((element) => slot.elements.has(element)).length;
      return;
    case 'set-get':
      expectType(slot, 'set');
      outcome.number = slot.set.elements;
      return;
    case 'set-reset':
      expectType(slot, 'set');
      outcome.number = resetSetOf(slot) ? 1 : 0;
      return;
    case 'register-put':
      applyWrite(command, slot, replica);
      return;
    case 'register-get':
      expectType(slot, 'register');
      outcome.value = readRegister(slot.register);
      return;
    case 'register-reset':
      expectType(slot, 'register');
      outcome.number = resetRegisterOf(slot) ? 1 : 0;
      return;
    case 'reset-any':
      outcome.number = resetAllOf(slot, replica) ? 1 : 0;
      return;
    case 'flag-vote':
      outcome.number = joinFlagDelta(slot, castVote(command.version, replica.id)) ? 1 : 0;
      outcome.value = cloneFlag(slot.flag);
      return;
    case 'flag-get':
      outcome.value = cloneFlag(slot.flag);
      return;
    case 'join':
      applyJoin(command, slot, replica);
      return;
    case 'discard':
    case 'scan':
      return;
  }
}

function applyIncrement(command: Command, slot: Slot, replica: Replica, limits: ApplyLimits): void {
  const { outcome, opId, by } = command;
  if (!slot.exists) expectType(slot, 'counter');
  checkKind(slot.counter, command.kind ?? slot.counter.kind ?? 'pn', by);
  if (opId !== undefined && isRepeated(command, slot)) return;
  // Parts and concurrent increments may take a counter out of the range in which doubles are exact.
  const isExact = Number.isSafeInteger(slot.value);
  const next = isExact ? slot.value + by : Number(counterSum(slot.counter) + BigInt(by));
  if (!Number.isSafeInteger(next)) {
    throw refusals.incrementOverflow();
  }
  if (opId !== undefined) {
    expectRoom(slot, limits);
    claimOp(slot, opId, by, replica);
  }
  if (slot.counter.kind !== 'pn' || !isExact) {
    // The first increment, or one of a G-Counter: it says of which kind the counter is.
    joinCounterDelta(slot, increment(slot.counter, replica.incarnation, BigInt(by), command.kind));
    slot.valueBefore = next;
  } else slot.pending++;
  slot.value = next;
  slot.exists = true;
  slot.dirty = true;
  outcome.number = next;
}

function expectRoom({ counter, opCount = 0 }: Slot, limits: ApplyLimits): void {
  const { op_ids_per_counter_max, contested_ids_per_counter_max } = limits;
  if (opCount >= op_ids_per_counter_max) {
    throw refusals.opMemoryFull('op_ids_per_counter_max', op_ids_per_counter_max);
  }
  if ((counter.contested?.size ?? 0) >= contested_ids_per_counter_max) {
    throw refusals.opMemoryFull('contested_ids_per_counter_max', contested_ids_per_counter_max);
  }
}

function isRepeated(command: Command, slot: Slot): boolean {
  const { opId = '' } = command;
  // What is contested is known even where its claim was forgotten.
  const seen = slot.counter.claims?.get(opId) ?? slot.counter.contested?.get(opId)?.[0];
  if (seen === undefined) return false;
  if (seen.by !== command.by) throw refusals.idReused();
  command.outcome.flag = true;
  command.outcome.number = safe(slot.value);
  return true;
}

function applyPart(command: Command, slot: Slot, replica: Replica): void {
  const { part, outcome } = command;
  if (part === undefined) throw new MemplaneError('internal', 'A part without its values.');
  if (!slot.exists) expectType(slot, 'counter');
  const delta = partDelta(slot.counter, part);
  flushIncrements(slot, replica);
  outcome.flag = joinCounterDelta(slot, delta);
  recount(slot);
  outcome.number = safe(slot.value);
}

function partDelta(counter: CounterState, part: PartUpdate): CounterState {
  const { partition, logId, epoch, offset, value } = part;
  const parts = counter.parts;
  let generation = parts?.generation ?? 0;
  if (parts !== undefined && parts.logId !== logId) {
    if (!part.replaceLog) {
      throw refusals.otherLog(parts.logId);
    }
    generation++;
  }
  const byPartition = new Map([[partition, { epoch, offset, value }]]);
  return { ...emptyCounter(), parts: { generation, logId, byPartition } };
}

function applyAdds(command: Command, slot: Slot, replica: Replica, limits: ApplyLimits): void {
  expectType(slot, 'set');
  const fresh = new Set(command.elements.filter((element) => !slot.elements.has(element)));
  let { elements, elementBytes } = slot.set;
  for (const element of fresh) {
    elements++;
    elementBytes += Buffer.byteLength(element);
  }
  if (
    fresh.size > 0 &&
    (elements > limits.set_elements_max || elementBytes > limits.set_bytes_max)
  ) {
    throw refusals.setTooLarge(limits);
  }
  for (const element of command.elements) {
    const { elements, context } = addElement(slot.setOf(element), replica.incarnation, element);
    const dots = elements.get(element) ?? [];
    // The context only grows, and nobody else holds it until the batch ends.
    joinContextInto(slot.set.context, context);
    slot.patchSet(element, { dots, context });
    setDots(slot, element, dots);
  }
  slot.dirty = true;
  command.outcome.number = fresh.size;
}

function applyRemoves(command: Command, slot: Slot): void {
  expectType(slot, 'set');
  let removed = 0;
  for (const element of command.elements) {
    if (!slot.elements.has(element)) continue;
    const { context } = removeElement(slot.setOf(element), element);
    slot.patchSet(element, { dots: [], context });
    setDots(slot, element, []);
    removed++;
  }
  if (removed > 0) slot.dirty = true;
  command.outcome.number = removed;
}

function applyWrite(command: Command, slot: Slot, replica: Replica): void {
  expectType(slot, 'register');
  const delta = writeRegister(slot.register, {
    incarnation: replica.incarnation,
    hlc: replica.clock.tick(),
    replica: replica.id,
    value: command.value,
  });
  joinRegisterDelta(slot, delta);
  command.outcome.value = readRegister(slot.register);
}

/** A part that is derived from a log is the log's to say; a reset leaves it. */
function resetCounterOf(slot: Slot, replica: Replica): boolean {
  flushIncrements(slot, replica);
  const delta = resetCounter(slot.counter);
  if (delta.entries.size === 0) return false;
  joinCounterDelta(slot, delta);
  recount(slot);
  return true;
}

/** All dots of the set are in its context already: without its elements they count as removed. */
function resetSetOf(slot: Slot): boolean {
  if (slot.set.elements === 0) return false;
  slot.set = { context: slot.set.context, elements: 0, elementBytes: 0, elementsDigest: 0n };
  slot.setCleared = true;
  slot.clearSet();
  slot.elements.clear();
  slot.touched.clear();
  slot.dirty = true;
  return true;
}

function resetRegisterOf(slot: Slot): boolean {
  if (slot.register.versions.length === 0) return false;
  joinRegisterDelta(slot, resetRegister(slot.register));
  return true;
}

function resetAllOf(slot: Slot, replica: Replica): boolean {
  const resets = [
    resetCounterOf(slot, replica),
    resetSetOf(slot),
    resetRegisterOf(slot),
    resetMapOf(slot),
  ];
  return resets.includes(true);
}

function expectType(slot: Slot, type: CrdtType): void {
  const holds = slot.holds;
  if (holds !== undefined && holds !== type) {
    throw refusals.wrongType(holds, type);
  }
}

function safe(value: number): number {
  if (Number.isSafeInteger(value)) return value;
  throw refusals.mergedOverflow();
}
