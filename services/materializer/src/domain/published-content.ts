import type { ViewMessage } from './publishing.ts';

/** An erasure, by where its event stands. */
export interface ErasedAt {
  readonly logId: string;
  readonly partition: number;
  readonly offset: number;
}

/** As `viewLine` writes it, within the CloudEvent that the sidecar makes of it. */
interface Published {
  readonly data?: {
    readonly logId?: string;
    readonly partition?: number;
    readonly offset?: number;
    readonly view?: {
      readonly attributes?: Readonly<Record<string, unknown>>;
      readonly memories?: readonly unknown[];
    };
  };
}

/** Counts the messages that tell of some entities what was said before their erasures. */
export class PublishedContent {
  readonly #erasures: ReadonlyMap<string, ErasedAt>;
  readonly #left = new Map<string, number>();

  /** @param erasures by partition key */
  constructor(erasures: ReadonlyMap<string, ErasedAt>) {
    this.#erasures = erasures;
  }

  add(messages: readonly ViewMessage[]): void {
    for (const { key, value } of messages) {
      const erased = this.#erasures.get(key);
      if (erased === undefined || !tellsOf(value, erased)) continue;
      this.#left.set(key, (this.#left.get(key) ?? 0) + 1);
    }
  }

  left(key: string): number {
    return this.#left.get(key) ?? 0;
  }
}

/** What is of another place than the erasure counts as older: the next message replaces it anyway. */
function tellsOf(value: Buffer, erased: ErasedAt): boolean {
  const data = dataOf(value);
  if (data === undefined) return value.length > 0;
  const { logId, partition, offset = -1, view } = data;
  const isThere = logId === erased.logId && partition === erased.partition;
  if (isThere && offset >= erased.offset) return false;
  return Object.keys(view?.attributes ?? {}).length > 0 || (view?.memories ?? []).length > 0;
}

/** @returns undefined for what is no message of ours */
function dataOf(value: Buffer): Published['data'] {
  try {
    return (JSON.parse(value.toString()) as Published | null)?.data;
  } catch {
    return undefined;
  }
}
