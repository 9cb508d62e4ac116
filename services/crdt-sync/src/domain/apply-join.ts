import type { HybridClock } from '@memplane/clock';
import {
  containsDot,
  contextOfDelta,
  joinContextInto,
  joinDots,
  type OpMemory,
  type SetDelta,
  setDeltaLattice,
  sortedRecords,
} from '@memplane/crdt';
import type { Replica } from './apply.ts';
import type { Command, Join } from './command.ts';
import type { Slot } from './slot.ts';
import {
  flushIncrements,
  joinCounterDelta,
  joinFlagDelta,
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
  const { counter, set, register, flag, ops } = join;
  const grew = [
    counter !== undefined && joinCounter(slot, counter, replica),
    set !== undefined && joinSet(slot, set),
    register !== undefined && joinRegisterDelta(slot, register),
    flag !== undefined && joinFlagDelta(slot, flag),
    ops !== undefined && joinOps(slot, ops),
  ];
  observeStamps(join, replica.clock);
  command.outcome.flag = grew.includes(true);
}

function joinCounter(slot: Slot, delta: NonNullable<Join['counter']>, replica: Replica): boolean {
  flushIncrements(slot, replica);
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

/** An id that is known here already keeps its place among the newest. */
function joinOps(slot: Slot, ops: OpMemory): boolean {
  const news = sortedRecords(ops).filter(([opId]) => !slot.opRecords.has(opId));
  for (const [opId, record] of news) {
    slot.ops.push({ opId, record });
    slot.opRecords.set(opId, record);
  }
  if (news.length > 0) slot.dirty = true;
  return news.length > 0;
}

/** So that what is written here later wins. A stamp too far ahead is joined, and not followed. */
function observeStamps({ register, ops }: Join, clock: HybridClock): void {
  for (const { hlc } of register?.versions ?? []) clock.observe(hlc);
  for (const { hlc } of ops?.records.values() ?? []) clock.observe(hlc);
}
