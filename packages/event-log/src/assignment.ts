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

/** An instance of the service, and what it owns. */
export interface Owner {
  /** What it calls itself, see the driver's options: for instance where it can be reached. */
  readonly instance: string;
  readonly partitions: readonly number[];
}

/** Shares the partitions of a log out among the instances of a service. */
export interface PartitionAssignment {
  /** Joins; `onAssigned` follows when there is something for this instance. */
  start(listener: OwnershipListener): Promise<void>;
  /** What is owned at this moment, on the monotonic clock: empty as soon as that is not sure. */
  owned(): readonly Ownership[];
  /** The epoch under which a partition is owned at this moment; undefined when it surely is not. */
  epochOf(partition: number): number | undefined;
  /**
   * All instances, as far as is known here: whom to ask, and no proof that they still own anything.
   * @throws MemplaneError `dependency_unavailable` when nobody can tell
   */
  owners(): Promise<readonly Owner[]>;
  /**
   * Leaves next offsets of owned partitions where others can see them. They are never read back.
   * @param offsets partition → the offset that is read next
   */
  commit(offsets: ReadonlyMap<number, number>): Promise<void>;
  /** Gives all partitions back (`onRevoked`) and leaves. */
  close(): Promise<void>;
}

/** The assignment of a plane in one process: it owns all partitions from start to end. */
export class SoleOwner implements PartitionAssignment {
  readonly #owned: Ownership[];
  readonly #epoch: number;
  #listener: OwnershipListener | undefined;

  constructor(partitions: number, epoch: number) {
    this.#epoch = epoch;
    this.#owned = Array.from({ length: partitions }, (_, partition) => ({ partition, epoch }));
  }

  get partitions(): number {
    return this.#owned.length;
  }

  /**
   * The log has grown: each partition is given back and comes again with those that were split off
   * it, one after the other, so that the others go on meanwhile.
   * @param opened resolves when what was assigned so far is open
   */
  async grow(partitions: number, opened: () => Promise<void>, signal: AbortSignal): Promise<void> {
    const before = this.#owned.length;
    for (let partition = before; partition < partitions; partition++) {
      this.#owned.push({ partition, epoch: this.#epoch });
    }
    for (let partition = 0; partition < before; partition++) {
      const family = this.#owned.filter((one) => one.partition % before === partition);
      await this.#listener?.onRevoked(family.slice(0, 1));
      if (signal.aborted) return;
      await this.#listener?.onAssigned(family);
      await opened();
    }
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

  async owners(): Promise<readonly Owner[]> {
    const partitions = this.owned().map(({ partition }) => partition);
    return [{ instance: 'sole', partitions }];
  }

  /** There is nobody else who would want to know. */
  async commit(): Promise<void> {}

  async close(): Promise<void> {
    const listener = this.#listener;
    this.#listener = undefined;
    await listener?.onRevoked(this.#owned);
  }
}
