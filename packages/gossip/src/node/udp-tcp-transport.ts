import { createSocket, type Socket as DatagramSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer, isIPv6, type Server } from 'node:net';
import { MemplaneError } from '@memplane/contracts';
import type { ExchangeOutcome, Transport, TransportHandler } from '../ports.ts';
import { LAN_SETTINGS } from '../settings.ts';
import { formatAddress, parseAddress } from './address.ts';
import { type StreamLimits, Streams } from './streams.ts';

export interface UdpTcpOptions extends Partial<StreamLimits> {
  /** The IP address to bind, e.g. `0.0.0.0`. */
  readonly host: string;
  /** The port of both UDP and TCP; 0 takes one that is free for both. */
  readonly port: number;
  /** The host that others are told, where it is not the bound one. */
  readonly advertiseHost?: string;
  /** The port that others are told, e.g. one that is forwarded to the bound one. */
  readonly advertisePort?: number;
}

const LIMITS: StreamLimits = {
  streamsInMax: 64,
  streamsOutMax: 64,
  streamBytesMax: LAN_SETTINGS.streamBytesMax,
  streamTimeoutMs: LAN_SETTINGS.streamTimeoutMs,
};
const ALL_ADDRESSES: ReadonlySet<string> = new Set(['0.0.0.0', '::']);
/** How often a port that is free for TCP alone is given back for another. */
const BIND_TRIES_MAX = 20;

/** Datagrams over UDP and streams over TCP, on one port. */
export class UdpTcpTransport implements Transport {
  readonly address: string;
  readonly #datagrams: DatagramSocket;
  readonly #server: Server;
  readonly #streams: Streams;
  #handler: TransportHandler | undefined;
  #closing: Promise<void> | undefined;
  /** Datagrams that the system refused to send. */
  sendErrors = 0;

  /** @internal Made by {@link UdpTcpTransport.bind}. */
  constructor(address: string, datagrams: DatagramSocket, server: Server, streams: Streams) {
    this.address = address;
    this.#datagrams = datagrams;
    this.#server = server;
    this.#streams = streams;
    const count = () => {
      this.sendErrors += 1;
    };
    datagrams.on('error', count);
    server.on('error', count);
    datagrams.on('message', (bytes, from) => {
      this.#handler?.packet(formatAddress(from.address, from.port), bytes);
    });
    server.on('connection', (socket) => {
      streams.serve(socket, (request) => {
        const from = formatAddress(socket.remoteAddress ?? 'unknown', socket.remotePort ?? 0);
        return this.#handler?.request(from, request);
      });
    });
  }

  /**
   * Binds both sockets.
   * @throws MemplaneError `dependency_unavailable` when the port can't be had, `invalid_request`
   * for a host that stands for all addresses, when none is given for others.
   */
  static async bind(options: UdpTcpOptions): Promise<UdpTcpTransport> {
    if (ALL_ADDRESSES.has(options.advertiseHost ?? options.host)) {
      throw new MemplaneError('invalid_request', 'Others need one address to reach this member', {
        field: 'advertiseHost',
      });
    }
    for (let tries = 1; ; tries++) {
      try {
        return await bindOnce(options);
      } catch (cause) {
        if (options.port === 0 && tries < BIND_TRIES_MAX) continue;
        const at = formatAddress(options.host, options.port);
        throw new MemplaneError('dependency_unavailable', `${at} can't be bound`, { cause });
      }
    }
  }

  /** Streams that were turned away, or cut off for their size or their slowness. */
  get streamsRefused(): number {
    return this.#streams.refused;
  }

  listen(handler: TransportHandler): void {
    this.#handler = handler;
  }

  send(to: string, packet: Uint8Array): void {
    if (this.#closing !== undefined) return;
    try {
      const { host, port } = parseAddress(to);
      this.#datagrams.send(packet, port, host, (error) => {
        if (error) this.sendErrors += 1;
      });
    } catch {
      this.sendErrors += 1;
    }
  }

  exchange(
    to: string,
    request: Uint8Array,
    timeoutMs: number,
    done: (outcome: ExchangeOutcome) => void,
  ): void {
    this.#streams.exchange(to, request, timeoutMs, done);
  }

  /** Ends everything; once it resolves, nothing of it keeps the process. Again: no difference. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#handler = undefined;
    const closed = Promise.all([
      new Promise<void>((resolve) => this.#datagrams.close(() => resolve())),
      new Promise<void>((resolve) => this.#server.close(() => resolve())),
    ]);
    this.#streams.close();
    await closed;
  }
}

async function bindOnce(options: UdpTcpOptions): Promise<UdpTcpTransport> {
  const { host, port, advertiseHost = host } = options;
  const server = createServer();
  const datagrams = createSocket(isIPv6(host) ? 'udp6' : 'udp4');
  try {
    server.listen({ host, port, exclusive: true });
    await once(server, 'listening');
    const bound = portOf(server);
    datagrams.bind({ address: host, port: bound, exclusive: true });
    await once(datagrams, 'listening');
    const address = formatAddress(advertiseHost, options.advertisePort ?? bound);
    const streams = new Streams({ ...LIMITS, ...definedOf(options) });
    return new UdpTcpTransport(address, datagrams, server, streams);
  } catch (cause) {
    server.close();
    datagrams.close();
    throw cause;
  }
}

function portOf(server: Server): number {
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('not listening');
  return address.port;
}

function definedOf(options: UdpTcpOptions): Partial<StreamLimits> {
  const names = Object.keys(LIMITS) as (keyof StreamLimits)[];
  return Object.fromEntries(
    names.flatMap((name) => (options[name] === undefined ? [] : [[name, options[name]]])),
  );
}
