import { MemplaneError } from '@memplane/contracts';
import {
  addToField,
  cloneMap,
  incrementField,
  joinMapAt,
  type MapPlace,
  mapBytes,
  type OrMapState,
  placeKeys,
  readCounterField,
  readRegisterField,
  removeKeys,
  standsAt,
  writeField,
} from '@memplane/crdt';
import type { Replica } from './apply.ts';
import type { Command } from './command.ts';
import * as refusals from './refusals.ts';
import type { Slot } from './slot.ts';

export interface MapLimits {
  /** Of one map as it is stored, so that no write of a small field is a write of megabytes. */
  readonly map_bytes_max: number;
}

export function isOfMap({ type }: Command): boolean {
  return type.startsWith('map-');
}

/**
 * Does one command to the slot's map, and writes its outcome.
 * @throws MemplaneError; the slot is then unchanged.
 */
export function applyToMap(
  command: Command,
  slot: Slot,
  replica: Replica,
  limits: MapLimits,
): void {
  const { outcome } = command;
  switch (command.type) {
    case 'map-increment':
      outcome.number = incremented(command, slot, replica, limits);
      return;
    case 'map-add': {
      const place = placeOf(command);
      const { path, element = '' } = place;
      const stood = standsAt(slot.map, placeKeys(place));
      grow(slot, command, addToField(slot.map, path, replica.incarnation, element), limits);
      outcome.number = stood ? 0 : 1;
      return;
    }
    case 'map-write': {
      const { path } = placeOf(command);
      const write = { hlc: replica.clock.tick(), replica: replica.id, value: command.value };
      grow(slot, command, writeField(slot.map, path, replica.incarnation, write), limits);
      outcome.value = readRegisterField(slot.map, path);
      return;
    }
    case 'map-remove':
      outcome.number = removed(slot, placeKeys(placeOf(command))) ? 1 : 0;
      return;
    case 'map-reset':
      outcome.number = resetMapOf(slot) ? 1 : 0;
      return;
    default:
      outcome.value = cloneMap(slot.map);
  }
}

/** @returns whether there was anything */
export function resetMapOf(slot: Slot): boolean {
  return removed(slot, []);
}

function incremented(command: Command, slot: Slot, replica: Replica, limits: MapLimits): number {
  const { path } = placeOf(command);
  const by = BigInt(command.by);
  const next = Number(readCounterField(slot.map, path) + by);
  if (!Number.isSafeInteger(next)) throw refusals.incrementOverflow();
  grow(slot, command, incrementField(slot.map, path, replica.incarnation, by), limits);
  return next;
}

function grow(slot: Slot, command: Command, delta: OrMapState, limits: MapLimits): void {
  const bytes = mapBytes(delta);
  const fits = () => (slot.mapBytes ?? limits.map_bytes_max) + bytes <= limits.map_bytes_max;
  // What is kept is no less than the map has: only where that is too much is it counted anew.
  if (!fits()) slot.mapBytes = mapBytes(slot.map);
  if (!fits()) throw refusals.mapTooLarge(limits);
  slot.mapBytes = (slot.mapBytes ?? 0) + bytes;
  joinAt(slot, placeKeys(placeOf(command)), delta);
}

function removed(slot: Slot, keys: readonly string[]): boolean {
  const delta = removeKeys(slot.map, keys);
  if (delta.context.size === 0) return false;
  joinAt(slot, keys, delta);
  return true;
}

/** The dots of a local delta all stand where it was made. */
function joinAt(slot: Slot, keys: readonly string[], delta: OrMapState): void {
  joinMapAt(slot.map, keys, delta);
  slot.mapDelta ??= { root: { children: new Map() }, context: new Map() };
  joinMapAt(slot.mapDelta, keys, delta);
  slot.dirty = true;
}

function placeOf({ place }: Command): MapPlace {
  if (place !== undefined) return place;
  throw new MemplaneError('internal', 'A change of a map without its place.');
}
