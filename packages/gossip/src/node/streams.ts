import { connect, type Socket } from 'node:net';
import { MemplaneError } from '@memplane/contracts';
import type { ExchangeOutcome } from '../ports.ts';
import { parseAddress } from './address.ts';
import { frame, readFrame } from './frame.ts';

export interface StreamLimits {
  /** Requests that others have under way here. */
  readonly streamsInMax: number;
  /** Requests that are under way from here. */
  readonly streamsOutMax: number;
  /** A request or an answer. */
  readonly streamBytesMax: number;
  /** From accepting a stream to the end of its answer. */
  readonly streamTimeoutMs: number;
}

/** Streams of one request and one answer each, over TCP. */
export class Streams {
  readonly #limits: StreamLimits;
  readonly #incoming = new Set<Socket>();
  readonly #outgoing = new Set<Socket>();
  #closed = false;
  /** Streams that were turned away, or cut off for their size or their slowness. */
  refused = 0;

  constructor(limits: StreamLimits) {
    this.#limits = limits;
  }

  exchange(
    to: string,
    request: Uint8Array,
    timeoutMs: number,
    done: (outcome: ExchangeOutcome) => void,
  ): void {
    const refusal = this.#refusal(request);
    if (refusal !== undefined) {
      queueMicrotask(() => done({ ok: false, error: refusal }));
      return;
    }
    let socket: Socket;
    try {
      socket = connect({ ...parseAddress(to), noDelay: true });
    } catch (error) {
      const failure = unreachable(to, error);
      queueMicrotask(() => done({ ok: false, error: failure }));
      return;
    }
    this.#outgoing.add(socket);
    let outcome: ExchangeOutcome | undefined;
    const end = (ending: ExchangeOutcome) => {
      outcome ??= ending;
      socket.destroy();
    };
    const deadline = setTimeout(() => {
      const detail = `${to} did not answer within ${timeoutMs} ms`;
      end({ ok: false, error: new MemplaneError('deadline_exceeded', detail) });
    }, timeoutMs);
    socket.on('error', (cause) => end({ ok: false, error: unreachable(to, cause) }));
    socket.on('end', () => end({ ok: false, error: unreachable(to, 'it closed the stream') }));
    // The only way out: a socket that is destroyed from elsewhere ends here too.
    socket.on('close', () => {
      clearTimeout(deadline);
      this.#outgoing.delete(socket);
      done(outcome ?? { ok: false, error: unreachable(to, 'the stream was closed') });
    });
    readFrame(socket, this.#limits.streamBytesMax, (reply) => {
      if (reply !== undefined) return end({ ok: true, reply });
      end({ ok: false, error: unreachable(to, 'its answer is too large') });
    });
    socket.write(frame(request));
  }

  /** Cuts all streams off; those under way from here report a failure. */
  close(): void {
    this.#closed = true;
    for (const socket of [...this.#incoming, ...this.#outgoing]) socket.destroy();
  }

  #refusal(request: Uint8Array): MemplaneError | undefined {
    if (this.#closed) return new MemplaneError('shutting_down', 'The transport is closed');
    if (request.length > this.#limits.streamBytesMax) {
      return new MemplaneError('body_too_large', 'The request is too large for a stream');
    }
    if (this.#outgoing.size < this.#limits.streamsOutMax) return undefined;
    return new MemplaneError('overloaded', 'Too many streams are under way');
  }

  /** Answers one request on a stream that was accepted. */
  serve(socket: Socket, answer: (request: Uint8Array) => Uint8Array | undefined): void {
    socket.on('error', () => {});
    if (this.#closed || this.#incoming.size >= this.#limits.streamsInMax) {
      this.refused += 1;
      socket.destroy();
      return;
    }
    this.#incoming.add(socket);
    const deadline = setTimeout(() => {
      this.refused += 1;
      socket.destroy();
    }, this.#limits.streamTimeoutMs);
    socket.on('close', () => {
      clearTimeout(deadline);
      this.#incoming.delete(socket);
    });
    readFrame(socket, this.#limits.streamBytesMax, (request) => {
      const reply = request && answer(request);
      if (request === undefined) this.refused += 1;
      if (reply === undefined) socket.destroy();
      else socket.end(frame(reply));
    });
  }
}

function unreachable(to: string, cause: unknown): MemplaneError {
  const detail = cause instanceof Error ? cause.message : String(cause);
  return new MemplaneError('dependency_unavailable', `${to} can't be reached: ${detail}`, {
    cause,
  });
}
