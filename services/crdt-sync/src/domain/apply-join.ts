import type { HybridClock } from '@memplane/clock';
import {
  compareClaims,
  containsDot,
  contextOfDelta,
  emptyCounter,
  foundContested,
  joinContextInto,
  joinCounterInto,
  joinDots,
  mapWrites,
  type SetDelta,
  setDeltaLattice,
} from '@memplane/crdt';
import type { Replica } from './apply.ts';
import type { Command, Join } from './command.ts';
import type { Slot } from './slot.ts';
import {
  flushIncrements,
  joinCounterDelta,
  joinFlagDelta,
  joinMapDelta,
  joinRegisterDelta,
  recount,
  setDots,
} from './slot-changes.ts';

/**
 * Joins what another replica says. Nothing refuses it, neither a bound on sets nor another type
 * under the name: replicas that refused what others have would never be equal again.
 */
export function applyJoin(command: Command, slot: Slot, replica: Replica): void {
  const { join } = command;
  if (join === undefined) return;
  const { counter, set, register, flag, map } = join;
  const grew = [
    counter !== undefined && joinCounter(slot, counter, replica),
    set !== undefined && joinSet(slot, set),
    register !== undefined && joinRegisterDelta(slot, register),
    flag !== undefined && joinFlagDelta(slot, flag),
    map !== undefined && joinMapDelta(slot, map),
  ];
  observeStamps(join, replica.clock);
  command.outcome.flag = grew.includes(true);
}

function joinCounter(slot: Slot, delta: NonNullable<Join['counter']>, replica: Replica): boolean {
  flushIncrements(slot, replica);
  const found = foundContested(slot.counter, delta);
  if (found !== undefined) {
    slot.found ??= emptyCounter();
    joinCounterInto(slot.found, found);
  }
  for (const [opId, claim] of delta.claims ?? []) {
    const mine = slot.counter.claims?.get(opId);
    if (mine === undefined || compareClaims(claim, mine) < 0) slot.touchOp(opId);
  }
  const grew = joinCounterDelta(slot, delta);
  if (grew) recount(slot);
  return grew;
}

/** The elements of the patch are loaded, and those on which something stands that is cleared. */
function joinSet(slot: Slot, delta: SetDelta): boolean {
  const { patch, cleared } = delta;
  const { context } = slot.set;
  let grew = false;
  for (const [element, part] of patch) {
    const mine = slot.elements.get(element) ?? [];
    const joined = joinDots(mine, context, part.dots, part.context);
    if (joined === mine) continue;
    setDots(slot, element, joined);
    grew = true;
  }
  if (cleared.size > 0) {
    // Of the patch too: what it adds may have been removed by the reset of a later commit.
    for (const [element, dots] of [...slot.elements]) {
      const kept = dots.filter((dot) => !containsDot(cleared, dot));
      if (kept.length === dots.length) continue;
      setDots(slot, element, kept);
      grew = true;
    }
  }
  // Only now: what was in the context before tells what is fresh.
  grew = joinContextInto(context, contextOfDelta(delta)) || grew;
  if (grew) {
    slot.setDelta ??= setDeltaLattice.bottom();
    setDeltaLattice.joinInto(slot.setDelta, delta);
    slot.dirty = true;
  }
  return grew;
}

/** So that what is written here later wins. A stamp too far ahead is joined, and not followed. */
function observeStamps({ register, counter, map }: Join, clock: HybridClock): void {
  for (const { hlc } of register?.versions ?? []) clock.observe(hlc);
  for (const { hlc } of counter?.claims?.values() ?? []) clock.observe(hlc);
  if (map !== undefined) for (const { hlc } of mapWrites(map)) clock.observe(hlc);
}
