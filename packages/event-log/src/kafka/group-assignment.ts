import { MemplaneError } from '@memplane/contracts';
import type { Owner, Ownership, OwnershipListener, PartitionAssignment } from '../assignment.ts';
import { BrokerError, KAFKA } from './errors.ts';
import { GroupClient } from './group-client.ts';
import { MemberFile } from './member-file.ts';
import type { LogParts } from './reader.ts';
import { pauseFor, retryPauseMs, withRetries } from './retry.ts';

export interface GroupOptions {
  readonly groupId: string;
  /** How long an owner may take to let go of a partition before the group takes it, in ms. */
  readonly revokeTimeoutMs?: number;
  /**
   * Where the member's id is kept, in a folder that only one process at a time can have open: the
   * next one leaves the group for one that was killed, instead of waiting for the session timeout.
   */
  readonly memberFile?: string;
}

const REVOKE_TIMEOUT_MS = 10_000;
/** Between two heartbeats that are sent early, at the least. */
const EARLY_BEAT_MS_MIN = 100;

/**
 * Ownership by a consumer group. The group alone decides; offsets are nobody's business here.
 *
 * An owner is sure of its partitions only until the session timeout has passed since it *sent* the
 * last heartbeat that was answered: the broker began its own count later. From then on it owns
 * nothing by its own clock, whether it hears from the group or not, and joins as a new member.
 *
 * The epoch of an ownership is the member's at the time when it was given. A partition moves on only
 * with a higher epoch of the group, so the next owner's is higher. That holds while the group lives:
 * Kafka forgets one without members and without offsets, hence {@link commit}.
 */
export class KafkaGroupAssignment implements PartitionAssignment {
  readonly #parts: LogParts;
  readonly #client: GroupClient;
  readonly #file: MemberFile | undefined;
  readonly #leaving = new AbortController();
  readonly #owned = new Map<number, Ownership>();
  #listener: OwnershipListener | undefined;
  #memberId = crypto.randomUUID();
  #memberEpoch = 0;
  #sessionTimeoutMs = 0;
  /** Until when ownership is sure, on the monotonic clock. */
  #sureUntil = 0;
  /** What is to be told to the group with the next heartbeat. */
  #isToTell = false;
  /** Ends the pause between two heartbeats early. */
  #resting = new AbortController();
  #beatAt = Number.NEGATIVE_INFINITY;
  #reconciling: Promise<void> | undefined;
  #target: readonly number[] | undefined;
  #loop: Promise<void> | undefined;
  #expiry: NodeJS.Timeout | undefined;

  constructor(parts: LogParts, options: GroupOptions) {
    const { groupId, revokeTimeoutMs = REVOKE_TIMEOUT_MS, memberFile } = options;
    this.#parts = parts;
    this.#client = new GroupClient(parts, groupId, revokeTimeoutMs);
    this.#file = memberFile === undefined ? undefined : new MemberFile(memberFile);
  }

  /** How long a silent owner keeps its partitions; known after the start. */
  get sessionTimeoutMs(): number {
    return this.#sessionTimeoutMs;
  }

  get memberId(): string {
    return this.#memberId;
  }

  async start(listener: OwnershipListener): Promise<void> {
    if (this.#listener) throw new MemplaneError('internal', 'The assignment was started already');
    this.#listener = listener;
    const { options, closing } = this.#parts;
    this.#sessionTimeoutMs = await withRetries('joining the group', options, closing.signal, () =>
      this.#client.sessionTimeoutMs(),
    );
    const before = this.#file?.read();
    // Where that fails, or the group knows it no more, the session timeout does the same.
    if (before !== undefined) await this.#client.leave(before).catch(() => {});
    this.#file?.write(this.#memberId);
    this.#loop = this.#run();
  }

  owned(): readonly Ownership[] {
    return this.#isSure() ? [...this.#owned.values()] : [];
  }

  epochOf(partition: number): number | undefined {
    return this.#isSure() ? this.#owned.get(partition)?.epoch : undefined;
  }

  /**
   * By their client ids. Where somebody asks and a partition is nobody's, it may be this member's next:
   * the group gives it with a heartbeat, which a broker wants every 5 s by default, so that one goes at
   * once.
   */
  async owners(): Promise<readonly Owner[]> {
    const { options, closing, map } = this.#parts;
    const owners = await withRetries('asking who owns what', options, closing.signal, () =>
      this.#client.members(),
    );
    const owned = owners.reduce((sum, { partitions }) => sum + partitions.length, 0);
    if (owned < map.info.partitions) this.#beatEarly();
    return owners;
  }

  /**
   * Leaves applied offsets with the group. Nobody here reads them: they show the lag to Kafka's
   * tools, and keep the group, and so its epochs, for `offsets.retention.minutes` without members.
   */
  async commit(offsets: ReadonlyMap<number, number>): Promise<void> {
    await this.#client.commit(this.#memberId, this.#memberEpoch, offsets);
  }

  async close(): Promise<void> {
    this.#leaving.abort();
    await this.#loop;
    await this.#reconciling;
    clearTimeout(this.#expiry);
    if (this.#isSure()) await this.#revoke([...this.#owned.keys()]);
    // A group that does not hear of it finds out by the session timeout.
    if (this.#memberEpoch > 0) await this.#client.leave(this.#memberId).catch(() => {});
    this.#parts.closing.abort();
    await this.#parts.links.close();
  }

  #beatEarly(): void {
    if (performance.now() - this.#beatAt >= EARLY_BEAT_MS_MIN) this.#resting.abort();
  }

  #isSure(): boolean {
    return performance.now() < this.#sureUntil;
  }

  /** A member that has heard nothing for so long that it may have been replaced. */
  #isOverdue(): boolean {
    return this.#memberEpoch > 0 && !this.#isSure();
  }

  async #run(): Promise<void> {
    const { signal } = this.#leaving;
    let failures = 0;
    while (!signal.aborted) {
      try {
        const intervalMs = await this.#beat();
        failures = 0;
        this.#resting = new AbortController();
        const signals = AbortSignal.any([signal, this.#resting.signal]);
        if (!this.#isToTell) await pauseFor(intervalMs, signals);
      } catch (error) {
        if (error instanceof BrokerError && FENCED.has(error.number)) this.#rejoin();
        await pauseFor(retryPauseMs(failures++, this.#parts.options), signal);
      }
    }
  }

  async #beat(): Promise<number> {
    const sentAt = performance.now();
    this.#beatAt = sentAt;
    if (this.#isOverdue()) this.#rejoin();
    const isJoining = this.#memberEpoch === 0;
    const isTelling = isJoining || this.#isToTell;
    this.#isToTell = false;
    try {
      const answer = await this.#client.heartbeat({
        memberId: this.#memberId,
        memberEpoch: this.#memberEpoch,
        owned: isTelling ? [...this.#owned.keys()] : null,
        isJoining,
      });
      if (this.#isOverdue()) return 0; // the answer came too late to go on
      this.#memberEpoch = answer.memberEpoch;
      this.#confirm(sentAt);
      if (answer.target !== undefined) this.#target = answer.target;
      this.#reconcile();
      return answer.intervalMs;
    } catch (error) {
      this.#isToTell ||= isTelling;
      throw error;
    }
  }

  #confirm(sentAt: number): void {
    this.#sureUntil = sentAt + this.#sessionTimeoutMs;
    clearTimeout(this.#expiry);
    this.#expiry = setTimeout(() => this.#lose(), Math.ceil(this.#sureUntil - performance.now()));
  }

  /** All is gone, and this member is nobody any more: the next heartbeat joins as another one. */
  #rejoin(): void {
    this.#lose();
    const before = this.#memberId;
    if (this.#memberEpoch > 0) this.#client.leave(before).catch(() => {});
    this.#memberId = crypto.randomUUID();
    this.#file?.write(this.#memberId);
    this.#memberEpoch = 0;
    this.#target = undefined;
    this.#isToTell = false;
  }

  #lose(): void {
    this.#sureUntil = 0;
    clearTimeout(this.#expiry);
    const lost = [...this.#owned.values()];
    this.#owned.clear();
    if (lost.length > 0) this.#listener?.onLost(lost);
  }

  /** Goes towards what the group wants, one step at a time, while heartbeats go on. */
  #reconcile(): void {
    if (this.#reconciling || this.#target === undefined) return;
    const target = new Set(this.#target);
    const leaving = [...this.#owned.keys()].filter((partition) => !target.has(partition));
    const coming = [...target].filter((partition) => !this.#owned.has(partition));
    if (leaving.length === 0 && coming.length === 0) {
      // Nothing to do, but the group wants to hear that.
      this.#target = undefined;
      this.#isToTell = true;
      return;
    }
    const member = this.#memberId;
    const epoch = this.#memberEpoch;
    this.#target = undefined;
    this.#reconciling = (async () => {
      if (leaving.length > 0) await this.#revoke(leaving);
      if (member !== this.#memberId || this.#leaving.signal.aborted) return;
      const given = coming.map((partition) => ({ partition, epoch }));
      for (const one of given) this.#owned.set(one.partition, one);
      this.#isToTell = true;
      this.#resting.abort();
      if (given.length > 0) await this.#listener?.onAssigned(given);
    })()
      .catch(() => {}) // the listener's own affair
      .finally(() => {
        this.#reconciling = undefined;
      });
  }

  async #revoke(partitions: readonly number[]): Promise<void> {
    const given: Ownership[] = [];
    for (const partition of partitions) {
      const one = this.#owned.get(partition);
      this.#owned.delete(partition);
      if (one) given.push(one);
    }
    if (given.length > 0) await this.#listener?.onRevoked(given);
  }
}

/** The group does not know this member, or knows a later one in its place. */
const FENCED = new Set<number>([
  KAFKA.unknownMemberId,
  KAFKA.fencedMemberEpoch,
  KAFKA.staleMemberEpoch,
]);
