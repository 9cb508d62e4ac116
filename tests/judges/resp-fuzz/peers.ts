import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { readReplies } from './replies.ts';
import { frame } from './requests.ts';
import { open } from './talk.ts';
import { type Target, TOKEN } from './target.ts';

const DEADLINE_MS = 15_000;

/** A client that does as it is told, and keeps what it hears. */
export class Peer {
  readonly socket: Socket;
  readonly #parts: Buffer[] = [];
  #isOver = false;

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.on('data', (part) => this.#parts.push(part));
    socket.on('error', () => {});
    for (const event of ['end', 'close']) {
      socket.once(event, () => {
        this.#isOver = true;
      });
    }
  }

  /** Known to the server. */
  static async at({ port }: Target): Promise<Peer> {
    const peer = new Peer(await open(port));
    peer.socket.write(frame(['AUTH', TOKEN]));
    await peer.hears(1);
    peer.#parts.length = 0;
    return peer;
  }

  get heard(): Buffer {
    return Buffer.concat(this.#parts);
  }

  /** The server has said that it says no more, or is gone. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /** Waits until the bytes are with the kernel, or the server is gone, at most so long. */
  async send(bytes: Buffer, deadlineMs = DEADLINE_MS): Promise<void> {
    if (this.socket.destroyed) return;
    const end = new AbortController();
    const over = sleep(deadlineMs, undefined, { ref: false, signal: end.signal }).catch(() => {});
    const written = new Promise<void>((resolve) => this.socket.write(bytes, () => resolve()));
    await Promise.race([written, over]);
    end.abort();
  }

  /** @throws Error where no so many answers come in time */
  async hears(count: number): Promise<ReturnType<typeof readReplies>> {
    const deadline = performance.now() + DEADLINE_MS;
    let length = -1;
    while (performance.now() < deadline) {
      const { heard } = this;
      if (heard.length !== length && heard.subarray(-2).toString() === '\r\n') {
        length = heard.length;
        const replies = repliesIn(heard);
        if (replies.length >= count) return replies;
      }
      await sleep(5);
    }
    throw new Error(`${repliesIn(this.heard).length} of ${count} answers in ${DEADLINE_MS} ms`);
  }

  async ends(): Promise<void> {
    const deadline = performance.now() + DEADLINE_MS;
    while (!this.#isOver) {
      if (performance.now() > deadline) throw new Error('the server does not close');
      await sleep(5);
    }
  }
}

/** Those that are whole. */
function repliesIn(heard: Buffer): ReturnType<typeof readReplies> {
  try {
    return readReplies(heard);
  } catch {
    return [];
  }
}
