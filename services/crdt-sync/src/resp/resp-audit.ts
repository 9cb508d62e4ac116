import type { AuditTrail, Identity } from '@memplane/runtime';
import { isWrite } from './resp-caller.ts';

/** What the audit is told of a connection's commands. */
export class RespAudit {
  /** Undefined while nothing is recorded. */
  readonly #trail: () => AuditTrail | undefined;
  readonly #address: string | undefined;

  constructor(trail: () => AuditTrail | undefined, address: string | undefined) {
    this.#trail = trail;
    this.#address = address;
  }

  /** A command that was not run. @param target the key, where the command has one */
  refused(
    identity: Identity | undefined,
    command: string,
    target: string | undefined,
    code: 'unauthorized' | 'forbidden',
  ): void {
    this.#trail()?.record(this.#callOf(identity, command, target), code);
  }

  /** A command that may be run. Its outcome is between the peer and the store. */
  allowed(identity: Identity | undefined, command: string, target: string): void {
    const trail = this.#trail();
    if (trail?.isOfAll) trail.record(this.#callOf(identity, command, target), 'ok');
  }

  #callOf(identity: Identity | undefined, name: string, target: string | undefined) {
    const operation = /^[A-Z.]{1,32}$/.test(name) ? name : 'unknown';
    const role = isWrite(name) ? 'writer' : 'reader';
    return { operation, role, isRead: role === 'reader', identity, target, address: this.#address };
  }
}
