/** What comes first where requests wait; a part of the turns is left to each. */
export const URGENCIES = ['first', 'normal', 'bulk'] as const;

export type Urgency = (typeof URGENCIES)[number];

/** Of the turns, when all three wait: nobody starves. */
const TURNS: readonly Urgency[] = [
  ...['first', 'normal', 'first', 'first', 'normal', 'first', 'bulk'],
  ...['first', 'normal', 'first', 'first', 'normal', 'first'],
] as const satisfies readonly Urgency[];

/** A turn of the round is worth so many bytes; what is larger waits for several. */
const QUANTUM_BYTES = 16 * 1024;
const COST_BYTES_MAX = 16 * QUANTUM_BYTES;

/** Who waits, and how much room its body will need. */
export interface Waiting {
  readonly urgency: Urgency;
  readonly tenant: string;
  readonly agent: string;
  readonly bytes: number;
  /** When it began to wait, in milliseconds. */
  readonly sinceMs: number;
}

interface Member {
  /** In bytes: what it may still take, or has taken beyond its turn. */
  balance: number;
  readonly size: number;
}

/** Members that take turns, each with as many bytes as the others (deficit round robin). */
class Round<M extends Member> {
  readonly members = new Map<string, M>();
  #ring: M[] = [];
  #at = 0;

  add(name: string, member: M): M {
    this.members.set(name, member);
    this.#ring.push(member);
    return member;
  }

  remove(name: string, member: M): void {
    this.members.delete(name);
    const place = this.#ring[this.#at] === member ? this.#at : this.#ring.indexOf(member);
    this.#ring.splice(place, 1);
    if (place < this.#at) this.#at--;
    if (this.#at >= this.#ring.length) this.#at = 0;
  }

  /** Whose turn it is. There must be one. */
  next(): M {
    for (;;) {
      const member = this.#ring[this.#at] as M;
      if (member.balance > 0) return member;
      member.balance += QUANTUM_BYTES;
      this.#at = (this.#at + 1) % this.#ring.length;
    }
  }

  /** With most waiting. There must be one. */
  longest(): M {
    return this.#ring.reduce((found, member) => (member.size > found.size ? member : found));
  }
}

class Agent<W> {
  readonly name: string;
  balance = QUANTUM_BYTES;
  #items: W[] = [];
  #head = 0;

  constructor(name: string) {
    this.name = name;
  }

  get size(): number {
    return this.#items.length - this.#head;
  }

  get oldest(): W | undefined {
    return this.#items[this.#head];
  }

  push(item: W): void {
    this.#items.push(item);
  }

  shift(): void {
    this.#head++;
    if (this.#head < 64 || this.#head * 2 < this.#items.length) return;
    this.#items = this.#items.slice(this.#head);
    this.#head = 0;
  }

  pop(): W {
    return this.#items.pop() as W;
  }
}

class Tenant<W> {
  readonly name: string;
  balance = QUANTUM_BYTES;
  size = 0;
  readonly agents = new Round<Agent<W>>();

  constructor(name: string) {
    this.name = name;
  }
}

type Lane<W> = Round<Tenant<W>>;

/**
 * What waits to be served: by urgency, then turn by turn a tenant, then turn by turn an agent of it.
 * Whoever asks for more than its share waits longer, and nobody else does (Shreedhar & Varghese,
 * "Efficient Fair Queueing Using Deficit Round Robin", SIGCOMM 1995). Who has most waiting gives way
 * when there is no room (longest queue drop: McKenney, "Stochastic Fairness Queueing", 1990).
 */
export class FairQueue<W extends Waiting> {
  readonly #lanes: Readonly<Record<Urgency, Lane<W>>> = {
    first: new Round(),
    normal: new Round(),
    bulk: new Round(),
  };
  #turn = 0;
  #size = 0;
  #bytes = 0;

  get size(): number {
    return this.#size;
  }

  get bytes(): number {
    return this.#bytes;
  }

  push(item: W): void {
    const lane = this.#lanes[item.urgency];
    const tenant =
      lane.members.get(item.tenant) ?? lane.add(item.tenant, new Tenant<W>(item.tenant));
    const { agents } = tenant;
    const agent = agents.members.get(item.agent) ?? agents.add(item.agent, new Agent(item.agent));
    agent.push(item);
    tenant.size++;
    this.#size++;
    this.#bytes += item.bytes;
  }

  /** The next in turn; undefined where nothing waits. */
  shift(): W | undefined {
    if (this.#size === 0) return undefined;
    const lane = this.#nextLane();
    const tenant = lane.next();
    const agent = tenant.agents.next();
    const item = agent.oldest as W;
    agent.shift();
    const cost = Math.min(COST_BYTES_MAX, Math.max(QUANTUM_BYTES, item.bytes));
    tenant.balance -= cost;
    agent.balance -= cost;
    this.#forget(lane, tenant, agent, item);
    return item;
  }

  /**
   * Makes room for a newcomer at the cost of whoever has more waiting than it: the newest of the
   * longest, of equals the less urgent.
   * @returns undefined where the newcomer's own is the longest
   */
  displace(newcomer: Waiting): W | undefined {
    const found = this.#longest();
    if (found === undefined) return undefined;
    const { lane, tenant } = found;
    const agent = tenant.agents.longest();
    const own = this.#lanes[newcomer.urgency].members.get(newcomer.tenant);
    const isLonger =
      own === tenant
        ? agent.size > (own.agents.members.get(newcomer.agent)?.size ?? 0) + 1
        : tenant.size > (own?.size ?? 0) + 1;
    if (!isLonger) return undefined;
    const item = agent.pop();
    this.#forget(lane, tenant, agent, item);
    return item;
  }

  /** Takes out what began to wait before a time. */
  *expire(beforeMs: number): Generator<W> {
    for (const lane of Object.values(this.#lanes)) {
      for (const tenant of [...lane.members.values()]) {
        for (const agent of [...tenant.agents.members.values()]) {
          let item = agent.oldest;
          while (item !== undefined && item.sinceMs < beforeMs) {
            agent.shift();
            this.#forget(lane, tenant, agent, item);
            yield item;
            item = agent.oldest;
          }
        }
      }
    }
  }

  #nextLane(): Lane<W> {
    for (;;) {
      const lane = this.#lanes[TURNS[this.#turn] as Urgency];
      this.#turn = (this.#turn + 1) % TURNS.length;
      if (lane.members.size > 0) return lane;
    }
  }

  #longest(): { lane: Lane<W>; tenant: Tenant<W> } | undefined {
    let found: { lane: Lane<W>; tenant: Tenant<W> } | undefined;
    for (const urgency of URGENCIES) {
      const lane = this.#lanes[urgency];
      if (lane.members.size === 0) continue;
      const tenant = lane.longest();
      if (found === undefined || tenant.size >= found.tenant.size) found = { lane, tenant };
    }
    return found;
  }

  #forget(lane: Lane<W>, tenant: Tenant<W>, agent: Agent<W>, item: W): void {
    this.#size--;
    this.#bytes -= item.bytes;
    tenant.size--;
    if (agent.size === 0) tenant.agents.remove(agent.name, agent);
    if (tenant.size === 0) lane.remove(tenant.name, tenant);
  }
}
