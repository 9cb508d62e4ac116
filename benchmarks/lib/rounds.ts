/** What one contender did in one round, in its unit (events per second, milliseconds …). */
export interface Contender {
  readonly name: string;
  /** Runs once and gives its figure. */
  readonly run: () => Promise<number>;
}

export interface Measured {
  readonly name: string;
  readonly values: readonly number[];
  readonly median: number;
  /** Half the distance between the quartiles, as a part of the median. */
  readonly spread: number;
}

/**
 * Runs the contenders in turn, round after round, so that what disturbs the machine disturbs all of
 * them alike; every second round goes in reverse. A first round warms up and is not counted.
 */
export async function interleave(
  contenders: readonly Contender[],
  rounds: number,
): Promise<Measured[]> {
  const values = contenders.map(() => [] as number[]);
  for (let round = -1; round < rounds; round++) {
    const order = contenders.map((contender, i) => ({ contender, i }));
    if (round % 2 === 0) order.reverse();
    for (const { contender, i } of order) {
      const value = await contender.run();
      if (round >= 0) values[i]?.push(value);
    }
  }
  return contenders.map(({ name }, i) => summarize(name, values[i] ?? []));
}

export function summarize(name: string, values: readonly number[]): Measured {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (q: number) => {
    const place = q * (sorted.length - 1);
    const low = sorted[Math.floor(place)] ?? 0;
    const high = sorted[Math.ceil(place)] ?? low;
    return low + (high - low) * (place - Math.floor(place));
  };
  const median = at(0.5);
  return { name, values, median, spread: median === 0 ? 0 : (at(0.75) - at(0.25)) / 2 / median };
}

/** Ratios round by round, so that a slow round counts against both sides. */
export function ratio(name: string, of: Measured, to: Measured): Measured {
  return summarize(
    name,
    of.values.map((value, i) => value / (to.values[i] ?? Number.NaN)),
  );
}
