import { DEFAULT_TENANT } from '@memplane/contracts';
import { type Access, ANYONE, type Identity } from '@memplane/runtime';

const WRITES: ReadonlySet<string> = new Set([
  ...['CRDT.INCR', 'CRDT.DECR', 'CRDT.SADD', 'CRDT.SREM', 'CRDT.SET', 'CRDT.DEL'],
]);

export function isWrite(command: string): boolean {
  return WRITES.has(command);
}

/** Who a connection is of, and what it may do. */
export class RespCaller {
  readonly #access: Access;
  readonly #now: () => number;
  #identity: Identity | undefined;
  #version = 0;

  /** @param needsToken whether a connection has to say who it is of @param now ms since 1970 */
  constructor(access: Access, needsToken: boolean, now: () => number = Date.now) {
    this.#access = access;
    this.#now = now;
    this.#identity = needsToken ? undefined : ANYONE;
  }

  get isAllowed(): boolean {
    return this.#identity !== undefined;
  }

  /** For the audit; undefined until the connection has said who it is of. */
  get identity(): Identity | undefined {
    return this.#identity;
  }

  get tenant(): string {
    return this.#identity?.tenant ?? DEFAULT_TENANT;
  }

  /** What tells it apart from others of its tenant; undefined: only where it calls from. */
  get agent(): string | undefined {
    return this.#identity === ANYONE ? undefined : this.#identity?.subject;
  }

  /** Whether the way of the most frequent command, an increment, is open. */
  get mayWrite(): boolean {
    return this.#may('writer');
  }

  /** Whether it may be told of what all tenants do here. */
  get seesPlane(): boolean {
    return this.#may('operator');
  }

  may(command: string): boolean {
    if (command === 'CRDT.MEMBERS') return this.seesPlane;
    return this.#may(isWrite(command) ? 'writer' : 'reader');
  }

  /** @throws MemplaneError `unauthorized`, `dependency_unavailable`; of a JWT as a rejection */
  authenticate(token: string): undefined | Promise<undefined> {
    const found = this.#access.ofToken(token);
    if (found instanceof Promise) return found.then((identity) => this.#take(identity));
    return this.#take(found);
  }

  /** Whether what it once showed does not count any more: it has ended, or the tenants have changed. */
  get isOver(): boolean {
    const { expiresMs = Number.POSITIVE_INFINITY } = this.#identity ?? ANYONE;
    if (!this.#access.hasTenants || this.#identity === undefined) return false;
    return this.#version !== this.#access.version || this.#now() >= expiresMs;
  }

  #take(identity: Identity): undefined {
    this.#identity = identity;
    this.#version = this.#access.version;
  }

  #may(role: 'reader' | 'writer' | 'operator'): boolean {
    if (this.#identity === undefined) return false;
    return !this.#access.hasTenants || this.#identity.isPlane || this.#identity.roles.has(role);
  }
}
