import type { MemplaneError } from '@memplane/contracts';

/** Ends a timer. After it was called, the timer's function is never run. */
export type Cancel = () => void;

/** Time as the state machine sees it: a test moves it by hand, a service passes the system's. */
export interface Timers {
  /** Milliseconds on a monotonic clock of any origin. */
  now(): number;
  /** Runs a function once, `delayMs` from now. */
  after(delayMs: number, run: () => void): Cancel;
}

export interface Random {
  /** A number in [0, 1). */
  next(): number;
  /** Bytes for nonces: with keys set, they must come from a cryptographic source. */
  bytes(length: number): Uint8Array;
}

export type ExchangeOutcome =
  | { readonly ok: true; readonly reply: Uint8Array }
  | { readonly ok: false; readonly error: MemplaneError };

/** What a transport calls. Neither function throws. */
export interface TransportHandler {
  packet(from: string, bytes: Uint8Array): void;
  /** The answer to a stream's request; `undefined` ends the stream without one. */
  request(from: string, bytes: Uint8Array): Uint8Array | undefined;
}

/**
 * The network. Exchanges report through a callback, not a promise: the state machine then has no
 * step that waits for a microtask, and a simulator that owns the order of events owns all of it.
 */
export interface Transport {
  /** Where the others reach this member: `host:port`, the host preferably an IP address. */
  readonly address: string;
  listen(handler: TransportHandler): void;
  /** Sends a datagram, which may get lost; never throws. */
  send(to: string, packet: Uint8Array): void;
  /** Sends a request over a stream. `done` is called exactly once, never from within this call. */
  exchange(
    to: string,
    request: Uint8Array,
    timeoutMs: number,
    done: (outcome: ExchangeOutcome) => void,
  ): void;
}
