/** Runs `work` over the items, at most `width` at once. The first error stops new work and is thrown. */
export async function forEachAtMost<T>(
  width: number,
  items: Iterable<T>,
  work: (item: T, worker: number) => Promise<void>,
): Promise<void> {
  const iterator = items[Symbol.iterator]();
  let failed = false;
  const run = async (worker: number) => {
    for (;;) {
      if (failed) return;
      const { value, done } = iterator.next();
      if (done) return;
      try {
        await work(value, worker);
      } catch (error) {
        failed = true;
        throw error;
      }
    }
  };
  const ends = await Promise.allSettled(Array.from({ length: width }, (_, i) => run(i)));
  const rejected = ends.find((end) => end.status === 'rejected');
  if (rejected) throw rejected.reason;
}

/** Numbers from 0 up to, without, `end`. */
export function* range(end: number): Generator<number> {
  for (let i = 0; i < end; i++) yield i;
}

/** Cuts a list into pieces of at most `size`. */
export function chunks<T>(items: readonly T[], size: number): T[][] {
  const out: T[][] = [];
  for (let i = 0; i < items.length; i += size) out.push(items.slice(i, i + size));
  return out;
}

/**
 * Asks again until `probe` answers something else than undefined. For what the plane announces by
 * no other means than its state; the deadline is part of what is tested.
 * @throws Error that names `what` past `deadlineMs`.
 */
export async function eventually<T>(
  what: string,
  deadlineMs: number,
  probe: () => Promise<T | undefined>,
  everyMs = 20,
): Promise<T> {
  const end = performance.now() + deadlineMs;
  for (;;) {
    const found = await probe();
    if (found !== undefined) return found;
    if (performance.now() > end) throw new Error(`${what}: not within ${deadlineMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, everyMs));
  }
}

/** The p-th percentile (0 to 1) of measured values, nearest rank. */
export function percentile(values: readonly number[], p: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.max(0, Math.ceil(p * sorted.length) - 1))] ?? NaN;
}
