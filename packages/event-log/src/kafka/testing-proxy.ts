import { connect, createServer, type Server, type Socket } from 'node:net';

interface Pair {
  readonly client: Socket;
  readonly broker: Socket;
  isDoomed: boolean;
}

/** A TCP proxy that tears connections (at once, or when an answer comes, which is lost) or holds them. */
export class TearingProxy {
  readonly #server: Server;
  readonly #pairs = new Set<Pair>();
  torn = 0;
  #isHolding = false;

  private constructor(server: Server) {
    this.#server = server;
  }

  static async start(port: number, target: number): Promise<TearingProxy> {
    const server = createServer();
    const proxy = new TearingProxy(server);
    server.on('connection', (client) => proxy.#accept(client, target));
    await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
    return proxy;
  }

  tear(): void {
    for (const pair of this.#pairs) this.#end(pair);
  }

  loseAnswers(): void {
    for (const pair of this.#pairs) pair.isDoomed = true;
  }

  /** Passes nothing on any more, in either direction, until {@link release}. */
  hold(): void {
    this.#isHolding = true;
    for (const { client, broker } of this.#pairs) {
      client.pause();
      broker.pause();
    }
  }

  release(): void {
    this.#isHolding = false;
    for (const { client, broker } of this.#pairs) {
      client.resume();
      broker.resume();
    }
  }

  async close(): Promise<void> {
    this.tear();
    await new Promise((resolve) => this.#server.close(resolve)); // closed already: at once
  }

  #accept(client: Socket, target: number): void {
    const broker = connect({ port: target, host: '127.0.0.1' });
    const pair = { client, broker, isDoomed: false };
    this.#pairs.add(pair);
    client.on('data', (bytes) => broker.write(bytes));
    broker.on('data', (bytes) => {
      if (pair.isDoomed) this.#end(pair);
      else client.write(bytes);
    });
    if (this.#isHolding) client.pause();
    for (const socket of [client, broker]) {
      socket.on('error', () => {});
      socket.on('close', () => this.#end(pair));
    }
  }

  #end(pair: Pair): void {
    if (!this.#pairs.delete(pair)) return;
    this.torn++;
    pair.client.destroy();
    pair.broker.destroy();
  }
}
