import { containsDot, sameContext, subtractContext } from '@memplane/crdt';
import type { Command } from './command.ts';
import type { CrdtStore, Ref } from './port.ts';
import type { Slot } from './slot.ts';

// Finds what a batch's commands need beyond what names have in memory: one read for all of a kind.

const CLEARED_PAGE_ELEMENTS = 1_024;

export async function loadElements(store: CrdtStore, batch: readonly Command[]): Promise<void> {
  const wants: { ref: Ref; element: string; slot: Slot }[] = [];
  for (const command of batch) {
    if (command.elements.length === 0) continue;
    const { slot } = command;
    // An empty set has no elements to find.
    if (slot === undefined || slot.set.elements === 0) continue;
    for (const element of command.elements) wants.push({ ref: slot.ref, element, slot });
  }
  if (wants.length === 0) return;
  const found = await store.loadElements(wants);
  wants.forEach(({ slot, element }, index) => {
    const dots = found[index];
    if (dots !== undefined) slot.elements.set(element, dots);
  });
}

/** @returns whether any were wanted */
export async function loadOps(store: CrdtStore, batch: readonly Command[]): Promise<boolean> {
  const wants: { ref: Ref; opId: string; slot: Slot }[] = [];
  for (const { opId, join, slot } of batch) {
    if ((opId === undefined && join === undefined) || slot === undefined) continue;
    if (opId !== undefined) wants.push({ ref: slot.ref, opId, slot });
    const { claims, contested } = join?.counter ?? {};
    for (const ids of [claims, contested]) {
      for (const joined of ids?.keys() ?? []) wants.push({ ref: slot.ref, opId: joined, slot });
    }
  }
  if (wants.length === 0) return false;
  const slots = [...new Set(wants.map(({ slot }) => slot))];
  const uncounted = slots.filter(({ opCount }) => opCount === undefined);
  const [found, counts] = await Promise.all([
    store.loadOps(wants),
    uncounted.length > 0 ? store.opCounts(uncounted.map(({ ref }) => ref)) : [],
  ]);
  wants.forEach(({ slot, opId }, index) => {
    const claim = found[index];
    if (claim !== undefined) slot.knowClaim(opId, claim);
  });
  uncounted.forEach((slot, index) => {
    slot.opCount = counts[index];
  });
  return true;
}

/** The slots whose memory of operation ids a batch adds to, with how many ids it brings at most. */
export function opIdsBrought(batch: readonly Command[]): Map<Slot, number> {
  const brought = new Map<Slot, number>();
  for (const { opId, join, slot } of batch) {
    const ids = (opId === undefined ? 0 : 1) + (join?.counter?.claims?.size ?? 0);
    if (slot !== undefined && ids > 0) brought.set(slot, (brought.get(slot) ?? 0) + ids);
  }
  return brought;
}

/** What a reset of another replica has seen may stand on any element: all are looked at. */
export async function loadCleared(store: CrdtStore, batch: readonly Command[]): Promise<void> {
  if (batch[0]?.type !== 'join') return;
  for (const { join, slot } of batch) {
    const cleared = join?.set?.cleared;
    if (cleared === undefined || cleared.size === 0) continue;
    if (slot === undefined || slot.set.elements === 0) continue;
    // What was never seen here stands on nothing.
    if (sameContext(subtractContext(cleared, slot.set.context), cleared)) continue;
    const { ref } = slot;
    let after: string | undefined;
    for (;;) {
      const page = await store.elements(ref, { after, limit: CLEARED_PAGE_ELEMENTS });
      const found = await store.loadElements(page.map((element) => ({ ref, element })));
      page.forEach((element, index) => {
        const dots = found[index];
        if (dots?.some((dot) => containsDot(cleared, dot))) slot.elements.set(element, dots);
      });
      if (page.length < CLEARED_PAGE_ELEMENTS) break;
      after = page.at(-1);
    }
  }
}
