import type { DropReason } from '../metrics.ts';
import type { ReplayWindows } from '../security/replay-windows.ts';
import type { Sealer } from '../security/sealer.ts';
import { ByteReader, Malformed } from '../wire/bytes.ts';
import { decodeMessages } from '../wire/decode-messages.ts';
import { decodeHeader, type Header } from '../wire/header.ts';
import type { Message } from '../wire/message.ts';
import { type Core, drop } from './core.ts';

/** What UDP can carry. Others may send larger packets than this member does. */
const DATAGRAM_BYTES_MAX = 65_535;

export interface Received {
  readonly header: Header;
  readonly messages: readonly Message[];
}

/** Why a request is not served although its sender is told so. */
export type Refusal = 'version' | 'forgotten';

/** Judges what comes in. Whatever the bytes are, it counts why it let them go and never throws. */
export class Inbox {
  readonly #core: Core;
  readonly #sealer: Sealer;
  readonly #windows: ReplayWindows;

  constructor(core: Core, sealer: Sealer, windows: ReplayWindows) {
    this.#core = core;
    this.#sealer = sealer;
    this.#windows = windows;
  }

  /** The messages of a packet, or nothing. */
  packet(bytes: Uint8Array): Received | undefined {
    this.#core.metrics.packetsReceived += 1;
    this.#core.metrics.packetBytesReceived += bytes.length;
    if (bytes.length > DATAGRAM_BYTES_MAX) return this.#dropped('too_large');
    return this.#open(bytes, () => false);
  }

  /**
   * The messages of a request or an answer over a stream, or nothing.
   * @param isTold whether one in a version that is not spoken here, or of a forgotten member, is
   * given nevertheless, without its messages
   */
  stream(
    bytes: Uint8Array,
    isTold: (refusal: Refusal) => boolean = () => false,
  ): Received | undefined {
    this.#core.metrics.streamsReceived += 1;
    this.#core.metrics.streamBytesReceived += bytes.length;
    if (bytes.length > this.#core.settings.streamBytesMax) return this.#dropped('too_large');
    return this.#open(bytes, isTold);
  }

  #open(bytes: Uint8Array, isTold: (refusal: Refusal) => boolean): Received | undefined {
    const opened = this.#sealer.open(bytes);
    if (!opened.ok) return this.#dropped(opened.reason);
    try {
      const reader = new ByteReader(opened.bytes);
      const header = decodeHeader(reader);
      const reason = this.#refusal(header);
      const refusal = reason ?? (this.#speaks(header.version) ? undefined : 'version');
      if (refusal !== undefined) {
        drop(this.#core, refusal);
        const isTellable = refusal === 'version' || refusal === 'forgotten';
        return isTellable && isTold(refusal) ? { header, messages: [] } : undefined;
      }
      const messages = decodeMessages(reader, this.#core.settings.membersMax);
      return { header, messages: messages.filter((message) => this.#known(message)) };
    } catch (error) {
      if (!(error instanceof Malformed)) throw error;
      return this.#dropped('malformed');
    }
  }

  #refusal(header: Header): DropReason | undefined {
    const ownId = this.#core.table.self.id;
    if (header.sender === ownId) return 'own_id';
    if (header.to !== '' && header.to !== ownId) return 'misdirected';
    if (this.#core.isForgotten(header.sender)) return 'forgotten';
    const freshness = this.#windows.check(header.sender, header.epoch, header.sequence);
    return freshness === 'fresh' ? undefined : freshness;
  }

  #speaks(version: number): boolean {
    const { min, max } = this.#core.table.self.protocol;
    return version >= min && version <= max;
  }

  #known(message: Message): boolean {
    if (message.type !== 'unknown') return true;
    drop(this.#core, 'unknown_message');
    return false;
  }

  #dropped(reason: DropReason): undefined {
    drop(this.#core, reason);
    return undefined;
  }
}
