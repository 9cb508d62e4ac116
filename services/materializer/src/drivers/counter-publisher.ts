import { DEFAULT_TENANT, MemplaneError } from '@memplane/contracts';
import type { Invoker, Logger } from '@memplane/runtime';
import type { Counter } from '@opentelemetry/api';
import { countsOf, type TenantCounts } from '../domain/shard-record.ts';
import type { Shard } from '../shard.ts';
import type { ShardSet } from '../shard-set.ts';

export interface CounterPublisherOptions {
  readonly invoker: Invoker;
  readonly logger: Logger;
  readonly calls: Counter;
  /** From one sending to the next; what changes after a rest is sent soon. */
  readonly intervalMs: number;
  readonly timeoutMs: number;
  /** The longest pause after failures. */
  readonly retryMsMax: number;
}

const CALLS_AT_ONCE_MAX = 4;
/** A value that crdt-sync does not have yet. */
interface DuePart {
  readonly tenant: string;
  readonly name: string;
  readonly shard: Shard;
}

/** Changes of one moment go together. */
const SOON_MS = 20;
const COUNTERS = ['events_total', 'active_sessions'] as const;

/**
 * Sends the derived counters, a part a partition, to crdt-sync, whenever a value has changed. Any
 * repetition or reordering is harmless there, so only the newest value is ever sent, after a start
 * all are, and applying never waits for it.
 *
 * An owner that is not yet as far as an earlier one sends nothing: what it sent would be of an earlier
 * position and so have no effect there, and once it has caught up, its value may be the same again.
 */
export class CounterPublisher {
  readonly #options: CounterPublisherOptions;
  readonly #shards: ShardSet;
  /** The value that was sent last, by tenant, counter and partition. */
  readonly #sent = new Map<string, number>();
  readonly #stopping = new AbortController();
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> | undefined;
  #failures = 0;
  #publishedAt = Number.NEGATIVE_INFINITY;

  constructor(shards: ShardSet, options: CounterPublisherOptions) {
    this.#shards = shards;
    this.#options = options;
  }

  /** Something may have changed. */
  notify(): void {
    if (this.#timer !== undefined || this.#running !== undefined) return;
    if (this.#stopping.signal.aborted) return;
    const { intervalMs, retryMsMax } = this.#options;
    const restMs =
      this.#failures === 0 ? intervalMs : Math.min(retryMsMax, intervalMs * 2 ** this.#failures);
    const pauseMs = Math.max(SOON_MS, this.#publishedAt + restMs - performance.now());
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#publishedAt = performance.now();
      this.#running = this.#publish().then((more) => {
        this.#running = undefined;
        if (more) this.notify();
      });
    }, pauseMs);
    this.#timer.unref();
  }

  /** A shard has come: what was sent earlier may have been overtaken by other owners since. */
  opened({ partition }: Shard): void {
    for (const key of this.#sent.keys()) {
      if (key.endsWith(`/${partition}`)) this.#sent.delete(key);
    }
    this.notify();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    clearTimeout(this.#timer);
    await this.#running;
  }

  /** @returns whether there is something left to send */
  async #publish(): Promise<boolean> {
    const due = this.#due();
    let failed: unknown;
    const worker = async () => {
      for (let part = due.pop(); part !== undefined && failed === undefined; part = due.pop()) {
        await this.#send(part).catch((error: unknown) => {
          failed = error;
        });
      }
    };
    await Promise.all(Array.from({ length: CALLS_AT_ONCE_MAX }, worker));
    if (failed === undefined) {
      this.#failures = 0;
      return this.#due().length > 0;
    }
    if (this.#failures++ === 0 && !this.#stopping.signal.aborted) {
      this.#options.logger.warn({ err: failed }, 'derived counters wait for crdt-sync');
    }
    this.#failures = Math.min(this.#failures, 16);
    return true;
  }

  #due(): DuePart[] {
    const due: DuePart[] = [];
    for (const shard of this.#shards) {
      if (shard.applied < 0 || !shard.hasCaughtUp || !this.#shards.owns(shard)) continue;
      for (const tenant of [DEFAULT_TENANT, ...Object.keys(shard.record.ofTenants ?? {})]) {
        const counts = countsOf(shard.record, tenant);
        for (const name of COUNTERS) {
          const part = { tenant, name, shard };
          if (this.#sent.get(keyOf(part)) !== partOf(name, counts)) due.push(part);
        }
      }
    }
    return due;
  }

  async #send(part: DuePart): Promise<void> {
    const { tenant, name, shard } = part;
    const { logId, epoch, applied: offset } = shard.record;
    const value = partOf(name, countsOf(shard.record, tenant));
    const { invoker, timeoutMs, calls } = this.#options;
    const path = `/v1/counters/${name}/partitions/${shard.partition}`;
    try {
      await invoker.invoke('crdt-sync', 'PUT', path, {
        body: { logId, epoch, offset, value },
        tenant,
        timeoutMs,
        signal: this.#stopping.signal,
      });
    } catch (error) {
      const outcome = error instanceof MemplaneError ? error.code : 'error';
      calls.add(1, { outcome });
      throw error;
    }
    calls.add(1, { outcome: 'ok' });
    // Of an ownership that has ended meanwhile nothing is known: others may have sent since.
    if (!this.#shards.owns(shard)) return;
    this.#sent.set(keyOf(part), value);
  }
}

function keyOf({ tenant, name, shard }: DuePart): string {
  return `${tenant}/${name}/${shard.partition}`;
}

function partOf(name: string, { eventsTotal, activeSessions }: TenantCounts): number {
  return name === 'events_total' ? eventsTotal : activeSessions;
}
