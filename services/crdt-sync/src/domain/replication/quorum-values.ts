import { MemplaneError } from '@memplane/contracts';
import {
  counterExists,
  counterValue,
  emptyCounter,
  emptyFlag,
  emptyMap,
  type FlagState,
  type OrMapState,
  type RegisterVersion,
  type ReplicaDelta,
  readRegister,
  setOfDelta,
} from '@memplane/crdt';
import { deltaKeyOf } from '../delta-key.ts';
import type { CrdtType, Ref } from '../port.ts';
import * as refusals from '../refusals.ts';

/** @throws MemplaneError `wrong_type`, `counter_overflow` */
export function counterOf(state: ReplicaDelta, ref: Ref): number {
  expectType(state, ref, 'counter');
  return counterValue(state.counters.get(deltaKeyOf(ref)) ?? emptyCounter());
}

/** In the order of their bytes. @throws MemplaneError `wrong_type` */
export function elementsOf(
  state: ReplicaDelta,
  ref: Ref,
  page: { readonly after: string | undefined; readonly limit: number },
): string[] {
  expectType(state, ref, 'set');
  const delta = state.sets.get(deltaKeyOf(ref));
  const sorted = [...(delta === undefined ? [] : setOfDelta(delta).elements.keys())]
    .map((element) => Buffer.from(element))
    .sort(Buffer.compare);
  const { after } = page;
  const start = after === undefined ? undefined : Buffer.from(after);
  const behind = start ? sorted.filter((it) => Buffer.compare(it, start) > 0) : sorted;
  return behind.slice(0, page.limit).map((element) => element.toString());
}

/** @throws MemplaneError `wrong_type`, `not_found` */
export function registerOf(state: ReplicaDelta, ref: Ref): RegisterVersion {
  expectType(state, ref, 'register');
  const register = state.registers.get(deltaKeyOf(ref));
  const version = register && readRegister(register);
  if (version !== undefined) return version;
  throw new MemplaneError('not_found', 'Nothing is written there.', { field: 'path.name' });
}

/** Empty where there is none. @throws MemplaneError `wrong_type` */
export function mapOf(state: ReplicaDelta, ref: Ref): OrMapState {
  expectType(state, ref, 'map');
  return state.maps.get(deltaKeyOf(ref)) ?? emptyMap();
}

/** No votes where there is none. */
export function flagOf(state: ReplicaDelta, ref: Ref): FlagState {
  return state.flags.get(deltaKeyOf(ref)) ?? emptyFlag();
}

function expectType(state: ReplicaDelta, ref: Ref, type: CrdtType): void {
  const holds = holdsOf(state, deltaKeyOf(ref));
  if (holds !== undefined && holds !== type) throw refusals.wrongType(holds, type);
}

/** As `Slot.holds` decides it. */
function holdsOf(state: ReplicaDelta, key: string): CrdtType | undefined {
  const counter = state.counters.get(key);
  if (counter !== undefined && counterExists(counter)) return 'counter';
  const set = state.sets.get(key);
  if (set !== undefined && setOfDelta(set).elements.size > 0) return 'set';
  if ((state.registers.get(key)?.versions.length ?? 0) > 0) return 'register';
  return (state.maps.get(key)?.root.children.size ?? 0) > 0 ? 'map' : undefined;
}
