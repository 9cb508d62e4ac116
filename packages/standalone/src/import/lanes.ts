import type { Appended, Memplane } from '@memplane/client';

export interface LaneItem {
  readonly text: string;
  readonly line: number;
  readonly done: () => void;
}

export interface LaneOptions {
  readonly client: Memplane;
  readonly lanes: number;
  readonly batch_events_max: number;
  readonly batch_bytes_max: number;
  /** How long one batch may be tried, in milliseconds. */
  readonly timeoutMs: number;
  readonly onAppended: (results: readonly Appended[]) => void;
  /** @returns whether to go on without the line */
  readonly onRefused: (line: number, error: unknown) => boolean;
}

/** One batch that is being filled and one that is under way, for a share of the entities. */
interface Lane {
  items: LaneItem[];
  bytes: number;
  sending: Promise<void> | undefined;
}

/**
 * Appends over several connections at once. An entity always takes the same lane and a lane sends
 * one batch after the other, so the order of each entity's events is that of the file.
 */
export class Lanes {
  readonly #options: LaneOptions;
  readonly #lanes: Lane[];
  #failure: unknown;

  constructor(options: LaneOptions) {
    this.#options = options;
    this.#lanes = Array.from({ length: options.lanes }, () => ({
      items: [],
      bytes: 0,
      sending: undefined,
    }));
  }

  /** Waits while the lane is full. @throws what made a batch fail for good */
  async add(entity: string, item: LaneItem): Promise<void> {
    const lane = this.#lanes[hash(entity) % this.#lanes.length];
    if (lane === undefined) throw new Error('there are no lanes');
    const { batch_events_max, batch_bytes_max } = this.#options;
    while (
      lane.items.length >= batch_events_max ||
      lane.bytes + item.text.length > batch_bytes_max
    ) {
      if (lane.items.length === 0) break;
      await this.#flush(lane);
    }
    if (this.#failure !== undefined) throw this.#failure;
    lane.items.push(item);
    lane.bytes += item.text.length;
  }

  /** Sends what is left and waits for everything. */
  async finish(): Promise<void> {
    await Promise.all(
      this.#lanes.map(async (lane) => {
        while (lane.sending !== undefined || lane.items.length > 0) {
          if (this.#failure !== undefined) break;
          if (lane.items.length > 0) await this.#flush(lane);
          else await lane.sending;
        }
        await lane.sending;
      }),
    );
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** Waits for the batch under way, then lets the filled one go. */
  async #flush(lane: Lane): Promise<void> {
    await lane.sending;
    if (this.#failure !== undefined) throw this.#failure;
    if (lane.items.length === 0) return;
    const items = lane.items;
    lane.items = [];
    lane.bytes = 0;
    const sending = this.#send(items)
      .catch((error: unknown) => {
        this.#failure ??= error;
      })
      .finally(() => {
        if (lane.sending === sending) lane.sending = undefined;
      });
    lane.sending = sending;
  }

  async #send(items: readonly LaneItem[]): Promise<void> {
    if (items.length === 0) return;
    const { client, timeoutMs, onAppended, onRefused } = this.#options;
    const body = `[${items.map((item) => item.text).join(',')}]`;
    try {
      onAppended(await client.appendText(body, items.length, { timeoutMs }));
      for (const item of items) item.done();
    } catch (error) {
      if (!isPermanent(error)) throw error;
      // The array is refused whole: halves find the bad line in few steps, in order.
      if (items.length > 1) {
        const half = items.length >> 1;
        await this.#send(items.slice(0, half));
        await this.#send(items.slice(half));
        return;
      }
      const [item] = items;
      if (item === undefined || !onRefused(item.line, error)) throw error;
      item.done();
    }
  }
}

function isPermanent(error: unknown): boolean {
  if (typeof error !== 'object' || error === null) return false;
  const { status, transient, code } = error as Record<string, unknown>;
  if (transient === true || typeof status !== 'number' || code === 'unauthorized') return false;
  return status === 400 || status === 409 || status === 413;
}

/** FNV-1a, 32 bits. */
function hash(text: string): number {
  let value = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) {
    value = Math.imul(value ^ text.charCodeAt(i), 0x01000193);
  }
  return value >>> 0;
}
