import { type Cancel, formatAddress, parseAddress, type Timers } from '@memplane/gossip';

/** Addresses that are tried in one round. */
const ADDRESSES_MAX = 256;

export interface JoiningOptions {
  readonly timers: Timers;
  readonly intervalMs: number;
  readonly ownAddress: string;
  /** All addresses of a host, IP addresses of their own as they are. */
  readonly resolve: (host: string) => Promise<readonly string[]>;
  /** Enters the cluster of whoever answers at an address; rejects where nobody does. */
  readonly join: (address: string) => Promise<unknown>;
  /** The addresses of all members that are known, the dead included. */
  readonly known: () => readonly string[];
  readonly isAlone: () => boolean;
}

/**
 * Looks for the others: each `intervalMs` all addresses of the list at which no member is known are
 * tried, and every one of them while this member is alone. So members that started apart, or while
 * the network was cut, find each other, and one that lost all others begins anew.
 */
export class Joining {
  readonly #options: JoiningOptions;
  #list: readonly string[] = [];
  /** Where somebody answered, who may tell another address of himself. */
  readonly #answered = new Set<string>();
  readonly #underWay = new Set<string>();
  #cancel: Cancel | undefined;
  #isStopped = false;

  constructor(options: JoiningOptions) {
    this.#options = options;
  }

  start(list: readonly string[]): void {
    this.#list = list;
    void this.#round();
  }

  stop(): void {
    this.#isStopped = true;
    this.#cancel?.();
  }

  async #round(): Promise<void> {
    const { intervalMs, isAlone, known, timers } = this.#options;
    const addresses = await this.#addresses();
    if (this.#isStopped) return;
    if (isAlone()) this.#answered.clear();
    const skipped = new Set([...(isAlone() ? [] : known()), ...this.#answered, ...this.#underWay]);
    for (const address of addresses) if (!skipped.has(address)) void this.#try(address);
    this.#cancel = timers.after(intervalMs, () => void this.#round());
  }

  /** A cut network gives no answer for longer than a round. */
  async #try(address: string): Promise<void> {
    this.#underWay.add(address);
    try {
      await this.#options.join(address);
      this.#answered.add(address);
    } catch {
      // The next round tries again.
    } finally {
      this.#underWay.delete(address);
    }
  }

  async #addresses(): Promise<string[]> {
    const { ownAddress } = this.#options;
    const own = new Set([ownAddress, ...(await this.#resolved(ownAddress))]);
    const found = new Set<string>();
    for (const resolved of await Promise.all(this.#list.map((each) => this.#resolved(each)))) {
      for (const address of resolved) if (!own.has(address)) found.add(address);
    }
    return [...found].slice(0, ADDRESSES_MAX);
  }

  /** None where the name is not known: it may be at the next round. */
  async #resolved(address: string): Promise<string[]> {
    const { host, port } = parseAddress(address);
    const hosts = await this.#options.resolve(host).catch(() => []);
    return hosts.map((each) => formatAddress(each, port));
  }
}
