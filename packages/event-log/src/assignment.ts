/** A partition that this instance may serve, and the epoch under which it does. */
export interface Ownership {
  readonly partition: number;
  /**
   * Higher than that of every earlier owner. What the owner leaves behind (manifests, views that it
   * publishes, forwarded reads) carries it, so that what a paused predecessor still says is told
   * apart.
   */
  readonly epoch: number;
}

/** Hears which partitions come and go. Its calls do not overlap, except {@link onLost}. */
export interface OwnershipListener {
  /** These partitions are this instance's from now on. */
  onAssigned(owned: readonly Ownership[]): Promise<void> | void;
  /**
   * These are to be given to others, which get them once this resolves: finish what is under way and
   * write nothing after. `isOwner` says no already.
   */
  onRevoked(owned: readonly Ownership[]): Promise<void>;
  /** These are gone, maybe to others already: stop at once, and do not finish anything. */
  onLost(owned: readonly Ownership[]): void;
}

/** Shares the partitions of a log out among the instances of a service. */
export interface PartitionAssignment {
  /** Joins; `onAssigned` follows when there is something for this instance. */
  start(listener: OwnershipListener): Promise<void>;
  /** What is owned at this moment, on the monotonic clock: empty as soon as that is not sure. */
  owned(): readonly Ownership[];
  /** The epoch under which a partition is owned at this moment; undefined when it surely is not. */
  epochOf(partition: number): number | undefined;
  /** Gives all partitions back (`onRevoked`) and leaves. */
  close(): Promise<void>;
}

/** The assignment of a plane in one process: it owns all partitions from start to end. */
export class SoleOwner implements PartitionAssignment {
  readonly #owned: readonly Ownership[];
  #listener: OwnershipListener | undefined;

  constructor(partitions: number, epoch: number) {
    this.#owned = Array.from({ length: partitions }, (_, partition) => ({ partition, epoch }));
  }

  async start(listener: OwnershipListener): Promise<void> {
    this.#listener = listener;
    await listener.onAssigned(this.#owned);
  }

  owned(): readonly Ownership[] {
    return this.#listener === undefined ? [] : this.#owned;
  }

  epochOf(partition: number): number | undefined {
    return this.#listener === undefined ? undefined : this.#owned[partition]?.epoch;
  }

  async close(): Promise<void> {
    const listener = this.#listener;
    this.#listener = undefined;
    await listener?.onRevoked(this.#owned);
  }
}
