import { createHash } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { formatHlc } from '@memplane/clock';
import type { CloudEvent, EventPayload } from '@memplane/contracts';
import type { LogBounds, LogInfo, LogReader, LogReadOptions, LogRecord } from '@memplane/event-log';
import { type MaterializerConfig, readMaterializerConfig } from './config.ts';
import type { ApplySettings } from './domain/apply-batch.ts';
import type { ViewStore } from './drivers/view-store.ts';
import { Shard, WaitLimit } from './shard.ts';
import { ShardSet } from './shard-set.ts';

/** What a test says of an event; the rest is made up. */
export interface TestEvent {
  readonly id: string;
  readonly entity: string;
  readonly type?: string;
  readonly tenant?: string;
  readonly hlc: bigint;
  readonly data: EventPayload;
  readonly causationId?: string;
  /** Of the key that it was sealed with. */
  readonly keyId?: string;
}

export function cloudEvent(event: TestEvent): CloudEvent {
  const { id, entity, type = 'Tested', tenant = 'default', hlc, data, causationId, keyId } = event;
  const content = JSON.stringify([type, data, causationId]);
  return {
    specversion: '1.0',
    id,
    type,
    source: 'test',
    subject: entity,
    time: '2026-01-01T00:00:00Z',
    datacontenttype: 'application/json',
    tenant,
    partitionkey: entity,
    hlc: formatHlc(hlc),
    ...(keyId === undefined ? {} : { keyid: keyId }),
    zone: 'eventual',
    digest: createHash('sha256').update(content).digest('base64url'),
    ...(causationId === undefined ? {} : { causationid: causationId }),
    data,
  };
}

export const TEST_LOG_ID = '0c7a4d0e-6f2b-4c59-9d3e-5a1b2c3d4e5f';

export const TEST_SETTINGS: ApplySettings = {
  sessionOpenTypes: new Set(['SessionStarted']),
  sessionCloseTypes: new Set(['SessionEnded']),
  snapshot_bytes_min: 1024,
};

/** All settings at their defaults. */
export const TEST_CONFIG: MaterializerConfig = readMaterializerConfig({});

/** A log in memory for unit tests: the service's own tests use the embedded one. */
export class MemoryLog implements LogReader {
  readonly info: LogInfo;
  readonly #partitions: LogRecord[][];
  readonly #waiting = new Set<() => void>();

  constructor(partitions: number) {
    this.info = { logId: TEST_LOG_ID, epoch: 0, partitions };
    this.#partitions = Array.from({ length: partitions }, () => []);
  }

  append(partition: number, event: TestEvent): LogRecord {
    const records = this.#partitions[partition] ?? [];
    const record: LogRecord = {
      partition,
      offset: records.length,
      key: event.entity,
      value: Buffer.from(JSON.stringify(cloudEvent(event))),
      hlc: event.hlc,
    };
    records.push(record);
    for (const wake of this.#waiting) wake();
    return record;
  }

  /** Replaces a record's value, as damage would. */
  damage(partition: number, offset: number, value: Buffer): void {
    const records = this.#partitions[partition] ?? [];
    const record = records[offset];
    if (record !== undefined) records[offset] = { ...record, value };
  }

  length(partition: number): number {
    return this.#partitions[partition]?.length ?? 0;
  }

  async bounds(partition: number): Promise<LogBounds> {
    return { start: 0, end: this.#partitions[partition]?.length ?? 0 };
  }

  async read(partition: number, from: number, options: LogReadOptions): Promise<LogRecord[]> {
    const { maxRecords = Number.POSITIVE_INFINITY } = options;
    return (this.#partitions[partition] ?? []).slice(from, from + maxRecords);
  }

  async offsetSince(partition: number, timeMs: number): Promise<number> {
    const records = this.#partitions[partition] ?? [];
    const first = records.findIndex((record) => record.hlc >= BigInt(timeMs) << 16n);
    return first === -1 ? records.length : first;
  }

  async waitBeyond(ends: ReadonlyMap<number, number>, signal: AbortSignal): Promise<void> {
    const isBeyond = () =>
      [...ends].some(([partition, end]) => (this.#partitions[partition]?.length ?? 0) > end);
    while (!isBeyond()) {
      signal.throwIfAborted();
      await new Promise<void>((resolve, reject) => {
        const wake = () => {
          this.#waiting.delete(wake);
          signal.removeEventListener('abort', abort);
          resolve();
        };
        const abort = () => {
          this.#waiting.delete(wake);
          reject(signal.reason);
        };
        this.#waiting.add(wake);
        signal.addEventListener('abort', abort, { once: true });
      });
    }
  }

  async close(): Promise<void> {}
}

/** A folder of its own for a test, removed at the end. */
export async function withFolder<T>(work: (dir: string) => Promise<T>): Promise<T> {
  const dir = await mkdtemp(join(tmpdir(), 'memplane-views-'));
  try {
    return await work(dir);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

/** All shards of a store, as an instance opens them that owns them all. */
export async function openShards(store: ViewStore, info: LogInfo): Promise<ShardSet> {
  const shards = new ShardSet({ info }, { epochOf: () => 1 });
  const limit = new WaitLimit(100);
  for (const [partition, record] of (await store.loadShards(info)).entries()) {
    shards.add(new Shard(partition, record, { ownerEpoch: 1 }, limit));
  }
  return shards;
}
