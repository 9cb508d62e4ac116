import type { Owner, Ownership, OwnershipListener, PartitionAssignment } from '@memplane/event-log';

/** A group whose partitions move when a test says so, with epochs as a real one has them. */
export class ScriptedGroup {
  readonly #held = new Map<number, { member: Member; ownership: Ownership }>();
  readonly #members: Member[] = [];
  #epoch = 0;

  /** @param instance how the others reach it */
  join(instance: string): PartitionAssignment & { wake(): void } {
    const member = new Member(this, instance);
    this.#members.push(member);
    return member;
  }

  /** Takes a partition from its owner in good order, and gives it to another one. */
  async move(partition: number, to: number): Promise<void> {
    const from = this.#take(partition);
    if (from !== undefined) await from.member.listener?.onRevoked([from.ownership]);
    await this.#give(partition, to);
  }

  /**
   * Takes a partition from an owner that the group has not heard of for too long.
   * @param isAsleep the owner hears of it only when it wakes
   */
  async lose(partition: number, to: number, isAsleep: boolean): Promise<void> {
    const from = this.#take(partition);
    if (from !== undefined && isAsleep) from.member.missed.push(from.ownership);
    else if (from !== undefined) from.member.listener?.onLost([from.ownership]);
    await this.#give(partition, to);
  }

  ownershipOf(member: Member, partition: number): Ownership | undefined {
    const held = this.#held.get(partition);
    return held?.member === member ? held.ownership : undefined;
  }

  /** Leaves all that a member has without an owner. */
  async release(member: Member): Promise<void> {
    const owned = member.owned();
    for (const { partition } of owned) this.#held.delete(partition);
    if (owned.length > 0) await member.listener?.onRevoked(owned);
  }

  owners(): readonly Owner[] {
    return this.#members.map((member) => ({
      instance: member.instance,
      partitions: this.ownedBy(member).map(({ partition }) => partition),
    }));
  }

  ownedBy(member: Member): Ownership[] {
    return [...this.#held.values()]
      .filter((one) => one.member === member)
      .map((one) => one.ownership);
  }

  #take(partition: number): { member: Member; ownership: Ownership } | undefined {
    const held = this.#held.get(partition);
    this.#held.delete(partition);
    return held;
  }

  async #give(partition: number, to: number): Promise<void> {
    const member = this.#members[to];
    if (member === undefined) throw new Error(`there is no member ${to}`);
    const ownership = { partition, epoch: ++this.#epoch };
    this.#held.set(partition, { member, ownership });
    await member.listener?.onAssigned([ownership]);
  }
}

class Member implements PartitionAssignment {
  readonly instance: string;
  readonly #group: ScriptedGroup;
  listener: OwnershipListener | undefined;
  /** What it has lost without hearing of it. */
  readonly missed: Ownership[] = [];

  constructor(group: ScriptedGroup, instance: string) {
    this.#group = group;
    this.instance = instance;
  }

  async start(listener: OwnershipListener): Promise<void> {
    this.listener = listener;
    const owned = this.owned();
    if (owned.length > 0) await listener.onAssigned(owned);
  }

  owned(): readonly Ownership[] {
    return this.#group.ownedBy(this);
  }

  epochOf(partition: number): number | undefined {
    return this.#group.ownershipOf(this, partition)?.epoch;
  }

  async owners(): Promise<readonly Owner[]> {
    return this.#group.owners();
  }

  async commit(): Promise<void> {}

  /** Hears of what it has missed. */
  wake(): void {
    const missed = this.missed.splice(0);
    if (missed.length > 0) this.listener?.onLost(missed);
  }

  async close(): Promise<void> {
    await this.#group.release(this);
  }
}
