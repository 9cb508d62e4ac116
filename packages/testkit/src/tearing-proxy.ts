import { connect, createServer, type Server, type Socket } from 'node:net';

interface Pair {
  readonly client: Socket;
  readonly server: Socket;
  isDoomed: boolean;
}

/** A TCP proxy that tears connections (at once, or when an answer comes, which is lost) or holds them. */
export class TearingProxy {
  readonly #listener: Server;
  readonly #pairs = new Set<Pair>();
  torn = 0;
  #isHolding = false;
  #lost: string | undefined;

  private constructor(listener: Server) {
    this.#listener = listener;
  }

  static async start(port: number, target: number): Promise<TearingProxy> {
    const listener = createServer();
    const proxy = new TearingProxy(listener);
    listener.on('connection', (client) => proxy.#accept(client, target));
    await new Promise<void>((resolve) => listener.listen(port, '127.0.0.1', resolve));
    return proxy;
  }

  tear(): void {
    for (const pair of this.#pairs) this.#end(pair);
  }

  loseAnswers(): void {
    for (const pair of this.#pairs) pair.isDoomed = true;
  }

  /** Tears the connection on which the next answer with this text in it comes: it is lost, once. */
  loseAnswerWith(text: string): void {
    this.#lost = text;
  }

  /** Passes nothing on any more, in either direction, until {@link release}. */
  hold(): void {
    this.#isHolding = true;
    for (const { client, server } of this.#pairs) {
      client.pause();
      server.pause();
    }
  }

  release(): void {
    this.#isHolding = false;
    for (const { client, server } of this.#pairs) {
      client.resume();
      server.resume();
    }
  }

  async close(): Promise<void> {
    this.tear();
    await new Promise((resolve) => this.#listener.close(resolve)); // closed already: at once
  }

  #accept(client: Socket, target: number): void {
    const server = connect({ port: target, host: '127.0.0.1' });
    const pair = { client, server, isDoomed: false };
    this.#pairs.add(pair);
    client.on('data', (bytes) => server.write(bytes));
    server.on('data', (bytes) => {
      if (this.#lost !== undefined && bytes.includes(this.#lost)) {
        this.#lost = undefined;
        pair.isDoomed = true;
      }
      if (pair.isDoomed) this.#end(pair);
      else client.write(bytes);
    });
    if (this.#isHolding) client.pause();
    for (const socket of [client, server]) {
      socket.on('error', () => {});
      socket.on('close', () => this.#end(pair));
    }
  }

  #end(pair: Pair): void {
    if (!this.#pairs.delete(pair)) return;
    this.torn++;
    pair.client.destroy();
    pair.server.destroy();
  }
}
