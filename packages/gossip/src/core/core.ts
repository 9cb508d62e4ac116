import type { GossipEvent, GossipHooks } from '../events.ts';
import type { DropReason, GossipMetrics } from '../metrics.ts';
import type { Random, Timers, Transport } from '../ports.ts';
import type { GossipSettings } from '../settings.ts';
import type { Awareness } from './awareness.ts';
import type { BroadcastQueue } from './broadcast-queue.ts';
import type { MemberTable } from './member-table.ts';

/** What the parts of a member share. */
export interface Core {
  readonly settings: GossipSettings;
  readonly timers: Timers;
  readonly random: Random;
  readonly transport: Transport;
  readonly table: MemberTable;
  readonly queue: BroadcastQueue;
  readonly awareness: Awareness;
  readonly metrics: GossipMetrics;
  readonly hooks: GossipHooks;
  /** Lets news leave before their next regular time. */
  readonly hasten: () => void;
  /** Whether an id was forgotten for good. */
  readonly isForgotten: (id: string) => boolean;
}

export function drop(core: { readonly metrics: GossipMetrics }, reason: DropReason): void {
  core.metrics.dropped[reason] += 1;
}

/** Runs a function of the application, which must not be able to stop the member. */
export function guarded<T>(core: Core, run: () => T): T | undefined {
  try {
    return run();
  } catch {
    drop(core, 'hook_threw');
    return undefined;
  }
}

export function emit(core: Core, event: GossipEvent): void {
  guarded(core, () => core.hooks.onEvent?.(event));
}

/** Hands a payload of another member to the application. */
export function deliver(core: Core, payload: Uint8Array, from: string): void {
  guarded(core, () => core.hooks.onMessage?.(payload, from));
}

/** Runs again and again, each time after the time that `delayMs` then gives. */
export class Ticker {
  readonly #timers: Timers;
  readonly #delayMs: () => number;
  readonly #tick: (lateMs: number) => void;
  #cancel: (() => void) | undefined;
  #running = false;
  #lastMs = Number.NEGATIVE_INFINITY;
  #dueMs = 0;

  constructor(timers: Timers, delayMs: () => number, tick: (lateMs: number) => void) {
    this.#timers = timers;
    this.#delayMs = delayMs;
    this.#tick = tick;
  }

  /** The first comes after a random part of the time, so that members don't move in step. */
  start(random: Random): void {
    this.#running = true;
    this.#arm(this.#delayMs() * random.next());
  }

  /** Runs sooner than it would, as soon as `gapMs` have passed since the last time. */
  hasten(gapMs: number): void {
    const nowMs = this.#timers.now();
    const dueMs = Math.max(nowMs, this.#lastMs + gapMs);
    if (!this.#running || dueMs >= this.#dueMs) return;
    this.#cancel?.();
    this.#arm(dueMs - nowMs);
  }

  stop(): void {
    this.#running = false;
    this.#cancel?.();
    this.#cancel = undefined;
  }

  #arm(delayMs: number): void {
    const dueMs = this.#timers.now() + delayMs;
    this.#dueMs = dueMs;
    this.#cancel = this.#timers.after(delayMs, () => {
      this.#lastMs = this.#timers.now();
      const lateMs = this.#lastMs - dueMs;
      this.#cancel = undefined;
      // What hastens it from within the tick comes to nothing: it is armed anew below.
      this.#dueMs = Number.NEGATIVE_INFINITY;
      this.#tick(lateMs);
      // The tick itself may have been told to stop.
      if (this.#running) this.#arm(this.#delayMs());
    });
  }
}
