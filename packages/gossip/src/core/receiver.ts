import type { Message } from '../wire/message.ts';
import type { Claims } from './claims.ts';
import { type Core, deliver, drop } from './core.ts';
import type { Inbox } from './inbox.ts';
import { verdictOn } from './member-table.ts';
import type { Peer, Post } from './post.ts';
import type { Prober } from './prober.ts';
import { Relays } from './relays.ts';

/** Acts on what packets bring. */
export class Receiver {
  readonly #core: Core;
  readonly #claims: Claims;
  readonly #inbox: Inbox;
  readonly #post: Post;
  readonly #prober: Prober;
  readonly #relays: Relays;
  #stopped = false;

  constructor(core: Core, parts: { claims: Claims; inbox: Inbox; post: Post; prober: Prober }) {
    this.#core = core;
    this.#claims = parts.claims;
    this.#inbox = parts.inbox;
    this.#post = parts.post;
    this.#prober = parts.prober;
    this.#relays = new Relays(core, parts.post, () => parts.prober.nextNumber());
  }

  packet(from: string, bytes: Uint8Array): void {
    if (this.#stopped) return;
    const received = this.#inbox.packet(bytes);
    if (received === undefined) return;
    const sender = { id: received.header.sender, address: from };
    let asked = false;
    for (const message of received.messages) {
      const asks = message.type === 'ping' || message.type === 'ping-req';
      if (asks && asked) drop(this.#core, 'excess');
      else this.#handle(message, sender);
      asked ||= asks;
    }
  }

  stop(): void {
    this.#stopped = true;
    this.#relays.stop();
  }

  #handle(message: Message, sender: Peer): void {
    switch (message.type) {
      case 'ping':
        this.#answer(message.probe, sender);
        break;
      case 'ping-req':
        this.#relays.ask(sender, message);
        break;
      case 'ack':
        if (this.#prober.ack(message.probe, sender.id)) break;
        if (!this.#relays.ack(message.probe, sender.id)) drop(this.#core, 'late_answer');
        break;
      case 'nack':
        if (!this.#prober.nack(message.probe, sender.id)) drop(this.#core, 'late_answer');
        break;
      case 'alive':
        this.#claims.alive(message.claim);
        break;
      case 'accused':
        this.#claims.accused(message.claim);
        break;
      case 'user':
        deliver(this.#core, message.payload, sender.id);
        break;
      default:
        drop(this.#core, 'unknown_message');
    }
  }

  /** Who asks although it is held for dead here hears of that with the answer. */
  #answer(probe: number, sender: Peer): void {
    const known = this.#core.table.get(sender.id);
    const verdict = known === undefined ? [] : verdictOn(known);
    this.#post.packet(sender, [{ type: 'ack', probe }, ...verdict]);
  }
}
