import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';

const CONNECT_TIMEOUT_MS = 1_000;

/** A TCP load balancer as they are: each connection goes to the next server that takes it. */
export class Balancer implements AsyncDisposable {
  readonly port: number;
  readonly #server: Server;
  readonly #open: ReadonlySet<Socket>;

  private constructor(server: Server, open: ReadonlySet<Socket>) {
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('no port');
    this.port = address.port;
    this.#server = server;
    this.#open = open;
  }

  static async before(ports: readonly number[]): Promise<Balancer> {
    let next = 0;
    const open = new Set<Socket>();
    const server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, async (client) => {
      client.on('error', () => client.destroy());
      const first = next++;
      for (let i = 0; i < ports.length; i++) {
        const target = await reach(ports[(first + i) % ports.length] ?? 0);
        if (target === undefined) continue;
        for (const socket of [client, target]) {
          open.add(socket);
          socket.setNoDelay(true);
          socket.once('close', () => {
            open.delete(socket);
            (socket === client ? target : client).destroy();
          });
        }
        client.pipe(target).pipe(client);
        return;
      }
      client.destroy();
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new Balancer(server, open);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close();
    for (const socket of this.#open) socket.destroy();
  }
}

async function reach(port: number): Promise<Socket | undefined> {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  try {
    await once(socket, 'connect', { signal: AbortSignal.timeout(CONNECT_TIMEOUT_MS) });
    socket.on('error', () => socket.destroy());
    return socket;
  } catch {
    socket.destroy();
    return undefined;
  }
}
