import type { Sealer } from '../security/sealer.ts';
import { encodeHeader } from '../wire/header.ts';
import { encodeMessage, type Message, USER_OVERHEAD_BYTES } from '../wire/message.ts';
import { retransmits } from './broadcast-queue.ts';
import { type Core, drop, guarded } from './core.ts';

/** Whom something is for. The id is empty while only the address is known. */
export interface Peer {
  readonly id: string;
  readonly address: string;
}

/** Makes and sends what leaves this member. News and payloads ride along in every packet. */
export class Post {
  readonly #core: Core;
  readonly #sealer: Sealer;
  readonly #epoch: number;
  #sequence = 0;

  constructor(core: Core, sealer: Sealer, epoch: number) {
    this.#core = core;
    this.#sealer = sealer;
    this.#epoch = epoch;
  }

  /** Sends messages in one packet, with news in the room that is left. */
  packet(to: Peer, messages: readonly Message[]): void {
    this.#compose(to, messages.map(encodeMessage));
  }

  /** Sends news and payloads only; nothing when there are none. */
  news(to: Peer, first: readonly Message[]): void {
    this.#compose(to, first.map(encodeMessage), true);
  }

  /** Whether a payload fits into a packet of its own. */
  fits(to: Peer, payload: Uint8Array): boolean {
    // With the longest sequence there can be.
    const header = this.#header(to, this.#core.table.commonVersion(), Number.MAX_SAFE_INTEGER);
    return payload.length + USER_OVERHEAD_BYTES <= this.#room(header);
  }

  /** The bytes of a request or an answer over a stream. */
  stream(to: Peer, messages: readonly Message[], version: number): Uint8Array {
    const header = this.#header(to, version, ++this.#sequence);
    return this.#sealer.seal(Buffer.concat([header, ...messages.map(encodeMessage)]));
  }

  #header(to: Peer, version: number, sequence: number): Uint8Array {
    const sender = this.#core.table.self.id;
    return encodeHeader({ version, sender, to: to.id, epoch: this.#epoch, sequence });
  }

  #room(header: Uint8Array): number {
    return this.#core.settings.packetBytesMax - this.#sealer.overheadBytes - header.length;
  }

  #compose(to: Peer, first: readonly Uint8Array[], onlyWithNews = false): void {
    const { metrics, queue, settings, table, transport } = this.#core;
    const header = this.#header(to, table.commonVersion(), this.#sequence + 1);
    let roomBytes = this.#room(header);
    for (const bytes of first) roomBytes -= bytes.length;
    const sendsMax = retransmits(settings.retransmitMult, table.liveCount);
    const news = queue.take(roomBytes, sendsMax);
    for (const bytes of news) roomBytes -= bytes.length;
    const parts = [...first, ...news, ...this.#payloads(roomBytes)];
    if (onlyWithNews && parts.length === 0) return;
    this.#sequence += 1;
    const packet = this.#sealer.seal(Buffer.concat([header, ...parts]));
    metrics.packetsSent += 1;
    metrics.packetBytesSent += packet.length;
    transport.send(to.address, packet);
  }

  #payloads(limitBytes: number): Uint8Array[] {
    const { hooks } = this.#core;
    if (hooks.offer === undefined || limitBytes <= USER_OVERHEAD_BYTES) return [];
    const offered = guarded(this.#core, () => hooks.offer?.(USER_OVERHEAD_BYTES, limitBytes)) ?? [];
    const payloads: Uint8Array[] = [];
    let leftBytes = limitBytes;
    for (const payload of offered) {
      leftBytes -= payload.length + USER_OVERHEAD_BYTES;
      if (leftBytes < 0) drop(this.#core, 'payload_too_large');
      else payloads.push(encodeMessage({ type: 'user', payload }));
    }
    return payloads;
  }
}
