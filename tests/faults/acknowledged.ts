import { readAppliedEnds, readFeed } from '@memplane/testkit';

const SLOTS_INITIAL = 1_024;

/**
 * Which event was acknowledged at which place of the log: four bytes for each, so that minutes of
 * overload fit. A hash that differs is an event that differs; 0 is nothing acknowledged.
 */
export type AcknowledgedPlaces = Map<number, Uint32Array>;

export function acknowledge(
  places: AcknowledgedPlaces,
  { partition, offset, id }: { partition: number; offset: number; id: string },
): void {
  let slots = places.get(partition) ?? new Uint32Array(SLOTS_INITIAL);
  if (offset >= slots.length) {
    const larger = new Uint32Array(Math.max(offset + 1, slots.length * 2));
    larger.set(slots);
    slots = larger;
  }
  slots[offset] = hashOf(id);
  places.set(partition, slots);
}

/** Reads the whole log. @returns how many were acknowledged, and the places where they are not */
export async function checkAcknowledged(
  places: AcknowledgedPlaces,
  materializer: string,
  catchUpTimeoutMs: number,
): Promise<{ acknowledged: number; lost: string[] }> {
  const ends = await readAppliedEnds(materializer, catchUpTimeoutMs);
  let acknowledged = 0;
  const lost: string[] = [];
  for (const [partition, slots] of places) {
    const end = ends.get(partition) ?? -1;
    const missing = new Set<number>();
    for (const [offset, hash] of slots.entries()) if (hash !== 0) missing.add(offset);
    acknowledged += missing.size;
    for await (const { offset, event } of readFeed(materializer, partition, 0, end)) {
      if (slots[offset] === hashOf(event.id)) missing.delete(offset);
    }
    for (const offset of missing) lost.push(`acknowledged but lost: ${partition}/${offset}`);
  }
  return { acknowledged, lost };
}

/** FNV-1a, 32 bits; never 0. */
function hashOf(id: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < id.length; i++) {
    hash = Math.imul(hash ^ id.charCodeAt(i), 0x01000193) >>> 0;
  }
  return hash || 1;
}
