import { connect, createServer, type Server, type Socket } from 'node:net';

interface Pair {
  readonly client: Socket;
  readonly broker: Socket;
  isDoomed: boolean;
}

/** A TCP proxy that tears connections: at once, or when the next answer comes, which is then lost. */
export class TearingProxy {
  readonly #server: Server;
  readonly #pairs = new Set<Pair>();
  torn = 0;

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

  async close(): Promise<void> {
    this.tear();
    await new Promise((resolve) => this.#server.close(resolve));
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
