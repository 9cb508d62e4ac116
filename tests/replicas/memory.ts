import type { Act } from './act.ts';
import { CounterMemory } from './counter-memory.ts';
import { RegisterMemory } from './register-memory.ts';
import { SetMemory } from './set-memory.ts';
import type { Values } from './values.ts';

export const COUNTERS = ['steps', 'tokens', 'tasks', 'errors', 'runs'] as const;
export const SETS = ['agents', 'topics', 'locks'] as const;
export const REGISTERS = ['plan', 'leader', 'phase', 'mood'] as const;

/** All that was done to the replicas, or may have been: what they may have follows from it. */
export class Memory {
  readonly counters = memoriesOf(COUNTERS, () => new CounterMemory());
  readonly sets = memoriesOf(SETS, () => new SetMemory());
  readonly registers = memoriesOf(REGISTERS, () => new RegisterMemory());
  /** How often all replicas were found equal. */
  epoch = 0;

  /** What is wrong with the values that all replicas have. */
  check(values: Values): string[] {
    const wrong: string[] = [];
    for (const [name, memory] of this.counters) {
      const what = memory.check(values.counters.get(name) ?? 0);
      if (what !== undefined) wrong.push(`counter ${name} ${what}`);
    }
    for (const [name, memory] of this.sets) {
      wrong.push(...memory.check(elementsOf(values, name)).map((what) => `set ${name} ${what}`));
    }
    for (const [name, memory] of this.registers) {
      const what = memory.check(values.registers.get(name));
      if (what !== undefined) wrong.push(`register ${name} ${what}`);
    }
    return wrong;
  }

  /** All replicas have these values, and nothing is under way. */
  settle(values: Values): void {
    const atMs = performance.now();
    const settled: Act = {
      replica: '',
      startMs: atMs,
      endMs: atMs,
      isDone: true,
      life: 0,
      epoch: this.epoch,
      isBehind: false,
      side: undefined,
    };
    for (const [name, memory] of this.counters) memory.settle(values.counters.get(name) ?? 0);
    for (const [name, memory] of this.sets) memory.settle(elementsOf(values, name), settled);
    for (const [name, memory] of this.registers) memory.settle(values.registers.get(name));
    this.epoch++;
  }
}

function elementsOf(values: Values, name: string): ReadonlySet<string> {
  return new Set(values.sets.get(name));
}

function memoriesOf<T>(names: readonly string[], make: () => T): ReadonlyMap<string, T> {
  return new Map(names.map((name) => [name, make()]));
}
