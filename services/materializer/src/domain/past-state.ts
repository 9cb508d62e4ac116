import { parseHlc } from '@memplane/clock';
import type { CloudEvent } from '@memplane/contracts';
import { decodeHistory, decodeSnapshot, type HistoryRow } from './rows.ts';
import { type EntityState, emptyState, evolve } from './state.ts';

/** A row of an entity's history, as it is in the store; never changed. */
export interface HistoryEntry {
  readonly offset: number;
  /** An event's; else it is the state after the event at the same offset. */
  readonly isEvent: boolean;
  readonly value: Buffer;
}

/** A state of the past, with the newest stamp of the partition where its last event tells it. */
export interface PastState {
  readonly state: EntityState;
  /**
   * The offset of the newest event of the entity within the cut, rejected ones included; −1 where
   * the history begins later and the stored state is all there is.
   */
  readonly rowOffset: number;
  readonly rowMaxHlc: bigint;
}

/** Makes a state of the past of the stored state next before it and of the events since. */
export class PastFold {
  readonly #events: { readonly offset: number; readonly row: HistoryRow }[] = [];
  #base: EntityState | undefined;

  /** Takes the rows of a history, newest first. @returns whether no older one is needed */
  add({ offset, isEvent, value }: HistoryEntry): boolean {
    if (isEvent) this.#events.push({ offset, row: decodeHistory(value) });
    // The event of a stored state comes after it; it is needed only for the partition's newest stamp.
    else this.#base ??= stateOf(value, offset);
    return this.#base !== undefined && this.#events.length > 0;
  }

  /** Nothing where the entity had no state yet. */
  finish(): PastState | undefined {
    const newest = this.#events[0];
    const state = this.#base ?? emptyState();
    for (const { offset, row } of this.#events.toReversed()) {
      if (row.rejected || offset <= state.offset) continue;
      const event = JSON.parse(row.event.toString()) as CloudEvent;
      evolve(state, { offset, hlc: parseHlc(event.hlc), event });
    }
    if (state.sequence === 0) return undefined;
    return { state, rowOffset: newest?.offset ?? -1, rowMaxHlc: newest?.row.maxHlc ?? 0n };
  }
}

function stateOf(row: Buffer, offset: number): EntityState {
  const { sequence, hlc, state } = decodeSnapshot(row);
  const memories = new Map(state.memories.map((memory) => [memory.id, memory]));
  return {
    sequence,
    offset,
    hlc,
    attributes: state.attributes as EntityState['attributes'],
    memories,
  };
}
