import { type API, Connection } from '@platformatic/kafka';
import { toBrokerError } from './errors.ts';
import type { ResolvedKafkaOptions } from './options.ts';

export interface BrokerAddress {
  readonly host: string;
  readonly port: number;
}

/**
 * What a connection is for. A broker answers the requests of one connection in order, so that what
 * waits (`poll`) must not share one with what is urgent.
 */
export type Lane = 'produce' | 'read' | 'poll' | 'poll2' | 'admin';

/** The connections of one log, made when first needed and again after they were torn. */
export class BrokerLinks {
  readonly #options: ResolvedKafkaOptions;
  readonly #links = new Map<string, Promise<Connection>>();
  #isClosed = false;

  constructor(options: ResolvedKafkaOptions) {
    this.#options = options;
  }

  /** Sends a request and resolves with its answer; rejects when the connection does not hold. */
  async call<A extends unknown[], R>(
    broker: BrokerAddress,
    lane: Lane,
    api: API<A, R>,
    ...args: A
  ): Promise<R> {
    const connection = await this.#connect(broker, lane);
    try {
      return await api.async(connection, ...args);
    } catch (error) {
      throw toBrokerError(error, api.key);
    }
  }

  /** Tears all connections; requests under way fail. */
  async close(): Promise<void> {
    this.#isClosed = true;
    const links = [...this.#links.values()];
    this.#links.clear();
    await Promise.all(
      links.map(async (link) => {
        const connection = await link.catch(() => undefined);
        connection?.socket?.destroy();
      }),
    );
  }

  #connect(broker: BrokerAddress, lane: Lane): Promise<Connection> {
    if (this.#isClosed) throw new Error('the connections are closed');
    const key = `${broker.host}:${broker.port}/${lane}`;
    const known = this.#links.get(key);
    if (known) return known;
    const link = this.#open(broker, () => {
      if (this.#links.get(key) === link) this.#links.delete(key);
    });
    this.#links.set(key, link);
    return link;
  }

  async #open({ host, port }: BrokerAddress, forget: () => void): Promise<Connection> {
    const { clientId, connectTimeoutMs, requestTimeoutMs, tls, sasl } = this.#options;
    const connection = new Connection(clientId, {
      connectTimeout: connectTimeoutMs,
      requestTimeout: requestTimeoutMs,
      maxInflights: 64,
      ...(tls === undefined ? {} : { tls }),
      ...(sasl === undefined ? {} : { sasl }),
    });
    connection.on('error', forget);
    connection.on('timeout', forget);
    connection.on('closing', forget);
    connection.on('close', forget);
    try {
      await connection.connect(host, port);
    } catch (error) {
      forget();
      connection.socket?.destroy();
      throw error;
    }
    // A request that timed out closes the socket: nobody may get this connection until it has.
    connection.socket.once('error', forget).once('close', forget);
    return connection;
  }
}
