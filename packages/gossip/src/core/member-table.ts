import type { Member, MemberStatus, ProtocolRange } from '../member.ts';
import type { Random } from '../ports.ts';
import type { Message } from '../wire/message.ts';
import type { Suspicion } from './suspicion.ts';

/** A member with what only this side knows about it. */
export interface MemberRecord {
  readonly id: string;
  address: string;
  incarnation: number;
  status: MemberStatus;
  meta: Uint8Array;
  protocol: ProtocolRange;
  /** Who accused it; empty while it is alive. */
  accuser: string;
  /** When its status changed last, on the monotonic clock. */
  changedMs: number;
  suspicion: Suspicion | undefined;
}

export function isLive(record: { readonly status: MemberStatus }): boolean {
  return record.status === 'alive' || record.status === 'suspect';
}

/** All members that are known, this one among them, and the order in which they are probed. */
export class MemberTable {
  readonly self: MemberRecord;
  readonly #random: Random;
  readonly #records = new Map<string, MemberRecord>();
  #probeOrder: MemberRecord[] = [];
  #probeNext = 0;

  constructor(self: MemberRecord, random: Random) {
    this.self = self;
    this.#random = random;
    this.#records.set(self.id, self);
  }

  get size(): number {
    return this.#records.size;
  }

  /** Members that are alive or suspect, this one included. */
  get liveCount(): number {
    let count = 0;
    for (const record of this.#records.values()) if (isLive(record)) count += 1;
    return count;
  }

  get(id: string): MemberRecord | undefined {
    return this.#records.get(id);
  }

  values(): Iterable<MemberRecord> {
    return this.#records.values();
  }

  /** Adds a member at a random place of the order, so that it is not always probed last. */
  add(record: MemberRecord): void {
    this.#records.set(record.id, record);
    const place = Math.floor(this.#random.next() * (this.#probeOrder.length + 1));
    this.#probeOrder.splice(place, 0, record);
    if (place < this.#probeNext) this.#probeNext += 1;
  }

  remove(id: string): void {
    const record = this.#records.get(id);
    if (record === undefined || record === this.self) return;
    record.suspicion?.cancel();
    this.#records.delete(id);
    const place = this.#probeOrder.indexOf(record);
    this.#probeOrder.splice(place, 1);
    if (place < this.#probeNext) this.#probeNext -= 1;
  }

  /**
   * Whom to probe next (SWIM, §4.3): round after round over a list that is shuffled between them,
   * which bounds the time until any one is probed at two rounds.
   */
  nextToProbe(): MemberRecord | undefined {
    for (let tried = 0; tried <= this.#probeOrder.length; tried++) {
      if (this.#probeNext >= this.#probeOrder.length) {
        this.#probeNext = 0;
        this.#probeOrder = this.#shuffled(this.#probeOrder);
      }
      const record = this.#probeOrder[this.#probeNext++];
      if (record !== undefined && isLive(record)) return record;
    }
    return undefined;
  }

  /**
   * The next member in the order of ids that is alive; after the last one comes the first. Where
   * members agree on who lives, each is so the successor of exactly one other.
   */
  successor(): MemberRecord | undefined {
    let next: MemberRecord | undefined;
    let first: MemberRecord | undefined;
    for (const record of this.#records.values()) {
      if (record.status !== 'alive' || record === this.self) continue;
      if (first === undefined || record.id < first.id) first = record;
      const isAfter = record.id > this.self.id;
      if (isAfter && (next === undefined || record.id < next.id)) next = record;
    }
    return next ?? first;
  }

  /** Up to `count` others that a filter lets through, at random and none twice. */
  pick(count: number, filter: (record: MemberRecord) => boolean): MemberRecord[] {
    const candidates = this.#probeOrder.filter(filter);
    for (let i = 0; i < Math.min(count, candidates.length - 1); i++) {
      const j = i + Math.floor(this.#random.next() * (candidates.length - i));
      const [a, b] = [candidates[i], candidates[j]];
      if (a !== undefined && b !== undefined) [candidates[i], candidates[j]] = [b, a];
    }
    return candidates.slice(0, count);
  }

  /** Takes away who has been dead or gone since before `beforeMs`, and counts them. */
  reap(beforeMs: number): number {
    let reaped = 0;
    for (const record of [...this.#records.values()]) {
      if (isLive(record) || record === this.self || record.changedMs > beforeMs) continue;
      this.remove(record.id);
      reaped += 1;
    }
    return reaped;
  }

  /** Takes away who has been dead or gone the longest; false when there is none. */
  reapOldest(): boolean {
    let oldest: MemberRecord | undefined;
    for (const record of this.#records.values()) {
      if (isLive(record) || record === this.self) continue;
      if (oldest === undefined || record.changedMs < oldest.changedMs) oldest = record;
    }
    if (oldest === undefined) return false;
    this.remove(oldest.id);
    return true;
  }

  /**
   * The version that all live members speak: the lowest of their highest ones, but none that this
   * member does not speak itself.
   */
  commonVersion(): number {
    let version = this.self.protocol.max;
    for (const record of this.#records.values()) {
      if (isLive(record)) version = Math.min(version, record.protocol.max);
    }
    return Math.max(version, this.self.protocol.min);
  }

  #shuffled(records: readonly MemberRecord[]): MemberRecord[] {
    const order: MemberRecord[] = [];
    for (const record of records) {
      const place = Math.floor(this.#random.next() * (order.length + 1));
      const moved = order[place];
      if (moved === undefined) {
        order.push(record);
      } else {
        order.push(moved);
        order[place] = record;
      }
    }
    return order;
  }
}

/** A copy for outside. */
export function memberOf(record: MemberRecord): Member {
  const { id, address, incarnation, status, meta, protocol } = record;
  return { id, address, incarnation, status, meta: new Uint8Array(meta), protocol };
}

/** Who is held for suspect, dead or gone is told so first, as nobody else can refute it. */
export function verdictOn(record: MemberRecord): Message[] {
  const { status, id, incarnation, accuser } = record;
  return status === 'alive'
    ? []
    : [{ type: 'accused', claim: { status, id, incarnation, accuser } }];
}
