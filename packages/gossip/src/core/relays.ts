import type { Cancel } from '../ports.ts';
import type { Message } from '../wire/message.ts';
import { type Core, drop } from './core.ts';
import type { Peer, Post } from './post.ts';

/** When a failure is told, in parts of the timeout: early enough to be heard before its end. */
const NACK_AFTER = 0.5;

interface Relay {
  readonly asker: Peer;
  readonly probe: number;
  readonly target: string;
  cancel: Cancel;
}

/** Probes on behalf of others, a bounded number at once. */
export class Relays {
  readonly #core: Core;
  readonly #post: Post;
  readonly #nextNumber: () => number;
  readonly #running = new Map<number, Relay>();

  constructor(core: Core, post: Post, nextNumber: () => number) {
    this.#core = core;
    this.#post = post;
    this.#nextNumber = nextNumber;
  }

  ask(asker: Peer, request: Extract<Message, { type: 'ping-req' }>): void {
    const { settings, timers } = this.#core;
    if (this.#running.size >= settings.relaysMax) {
      drop(this.#core, 'relays_full');
      return;
    }
    const number = this.#nextNumber();
    const { probe, target, address, nack } = request;
    const nackMs = settings.probeTimeoutMs * NACK_AFTER;
    const cancel = timers.after(nackMs, () => {
      if (nack) this.#post.packet(asker, [{ type: 'nack', probe }]);
      // An asker that stretches its own times may still have use for a late answer.
      relay.cancel = timers.after(settings.probeIntervalMs, () => this.#running.delete(number));
    });
    const relay: Relay = { asker, probe, target, cancel };
    this.#running.set(number, relay);
    this.#post.packet({ id: target, address }, [{ type: 'ping', probe: number }]);
  }

  /** Passes an answer on; false when nobody had asked for it. */
  ack(number: number, from: string): boolean {
    const relay = this.#running.get(number);
    if (relay?.target !== from) return false;
    relay.cancel();
    this.#running.delete(number);
    this.#post.packet(relay.asker, [{ type: 'ack', probe: relay.probe }]);
    return true;
  }

  stop(): void {
    for (const relay of this.#running.values()) relay.cancel();
    this.#running.clear();
  }
}
