import { MemplaneError } from '@memplane/contracts';
import type { Context as TraceContext } from '@opentelemetry/api';
import { callSidecar, type SidecarConfig } from './sidecar.ts';

export const PUBSUB = 'pubsub';

export interface PublishEntry {
  /** The record's key: messages of one key keep their order. */
  readonly key?: string;
  /** A JSON value: it becomes the `data` of the CloudEvent that the sidecar makes of it. */
  readonly value: unknown;
  /** The value is a whole CloudEvent: it is published as it is. */
  readonly isCloudEvent?: boolean;
  /** Become headers of the record. */
  readonly headers?: Readonly<Record<string, string>>;
}

export interface PublishOptions {
  /** For each request to the sidecar; 15 s by default. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
  readonly trace?: TraceContext;
}

/** What one request to the sidecar carries at most; a single message may be larger. */
export const PUBLISH_ENTRIES_MAX = 200;
export const PUBLISH_BYTES_MAX = 2 * 1024 * 1024;
const TIMEOUT_MS = 15_000;

/** Publishes to topics through the sidecar, in bulk. */
export class DaprPublisher {
  readonly #sidecar: SidecarConfig;
  readonly #pubsub: string;

  constructor(sidecar: SidecarConfig, pubsub: string = PUBSUB) {
    this.#sidecar = sidecar;
    this.#pubsub = pubsub;
  }

  /**
   * Resolves when all entries are acknowledged by the broker. They are sent in their order, but a
   * broker's retry may turn two around: subscribers go by what the values say of their order.
   * @throws MemplaneError; some of the entries may have been published then, so repeat them all
   */
  async publish(
    topic: string,
    entries: readonly PublishEntry[],
    options: PublishOptions = {},
  ): Promise<void> {
    for (const batch of batches(entries)) await this.#send(topic, batch, options);
  }

  async #send(topic: string, batch: readonly BulkEntry[], options: PublishOptions): Promise<void> {
    const response = await callSidecar(this.#sidecar, {
      method: 'POST',
      path: `/v1.0-alpha1/publish/bulk/${this.#pubsub}/${topic}`,
      body: batch,
      timeoutMs: options.timeoutMs ?? TIMEOUT_MS,
      ...(options.signal ? { signal: options.signal } : {}),
      ...(options.trace ? { trace: options.trace } : {}),
      what: `Publishing to ${topic}`,
      alsoAnswers: [500],
    });
    if (response.status !== 500) {
      await response.arrayBuffer();
      return;
    }
    const body = (await response.json().catch(() => ({}))) as BulkFailure;
    const failed = Array.isArray(body.failedEntries) ? body.failedEntries : [];
    const reason = failed[0]?.error ?? body.message ?? 'the broker did not take them';
    throw new MemplaneError(
      isTooLarge(reason) ? 'body_too_large' : 'dependency_unavailable',
      `Publishing to ${topic}: ${failed.length || batch.length} of ${batch.length} failed: ${reason}`,
      { retryAfterMs: 500 },
    );
  }
}

interface BulkEntry {
  readonly entryId: string;
  readonly event: unknown;
  readonly contentType: string;
  readonly metadata: Readonly<Record<string, string>>;
}

interface BulkFailure {
  readonly failedEntries?: readonly { readonly entryId: string; readonly error?: string }[];
  readonly message?: string;
}

/** By Kafka's own words; nothing else tells it. */
function isTooLarge(reason: string): boolean {
  return /message was too large|message larger than/i.test(reason);
}

function* batches(entries: readonly PublishEntry[]): Generator<BulkEntry[]> {
  let batch: BulkEntry[] = [];
  let bytes = 0;
  for (const entry of entries) {
    const next: BulkEntry = {
      entryId: String(batch.length),
      event: entry.value,
      contentType: entry.isCloudEvent ? 'application/cloudevents+json' : 'application/json',
      metadata: {
        ...entry.headers,
        ...(entry.key === undefined ? {} : { partitionKey: entry.key }),
      },
    };
    const size = Buffer.byteLength(JSON.stringify(next));
    const isFull = batch.length === PUBLISH_ENTRIES_MAX || bytes + size > PUBLISH_BYTES_MAX;
    if (batch.length > 0 && isFull) {
      yield batch;
      batch = [];
      bytes = 0;
    }
    batch.push({ ...next, entryId: String(batch.length) });
    bytes += size;
  }
  if (batch.length > 0) yield batch;
}
