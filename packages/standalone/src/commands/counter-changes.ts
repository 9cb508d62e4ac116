/** One line of a watch. */
export interface CounterChange {
  /** When it was noticed, by this machine's clock; RFC 3339. */
  readonly time: string;
  readonly name: string;
  readonly value: number;
  /** Absent where the counter was not seen before. */
  readonly change?: number;
}

/** What has changed between two readings of counters. */
export class CounterChanges {
  #before: ReadonlyMap<string, number> = new Map();

  /** One that is no longer among them counts as 0: it was reset. */
  next(values: ReadonlyMap<string, number>, time: string): CounterChange[] {
    const changes: CounterChange[] = [];
    for (const [name, value] of values) {
      const before = this.#before.get(name);
      if (before === undefined) changes.push({ time, name, value });
      else if (before !== value) changes.push({ time, name, value, change: value - before });
    }
    for (const [name, before] of this.#before) {
      if (!values.has(name) && before !== 0)
        changes.push({ time, name, value: 0, change: -before });
    }
    this.#before = values;
    return changes;
  }
}
