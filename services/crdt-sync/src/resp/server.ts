import { createServer, type Server } from 'node:net';
import type { Logger, RequestAdmission } from '@memplane/runtime';
import { BatchAdmission } from './batch-admission.ts';
import { type ConnectionOptions, RespConnection } from './connection.ts';
import { failure } from './writer.ts';

export interface RespServerOptions extends ConnectionOptions {
  readonly host: string;
  readonly respPort: number;
  readonly resp_connections_max: number;
  readonly drainTimeoutMs: number;
  readonly logger: Logger;
  /** What lets commands in; undefined: all are. */
  readonly admission?: () => RequestAdmission | undefined;
}

/** The port that Redis clients speak to. */
export class RespServer {
  readonly #options: RespServerOptions;
  readonly #server: Server;
  readonly #open = new Map<RespConnection, () => void>();
  #port = 0;

  constructor(options: RespServerOptions) {
    this.#options = options;
    const admission = new BatchAdmission(options.admission ?? (() => undefined));
    this.#server = createServer({ allowHalfOpen: true }, (socket) => {
      if (this.#open.size >= options.resp_connections_max) {
        socket.on('error', () => {});
        socket.end(failure('ERR max number of clients reached'), () => socket.destroySoon());
        return;
      }
      const connection = new RespConnection(socket, options, admission);
      this.#open.set(connection, () => socket.destroy());
      socket.once('close', () => this.#open.delete(connection));
    });
  }

  get connections(): number {
    return this.#open.size;
  }

  get port(): number {
    return this.#port;
  }

  /** @throws Error with words when the port is taken */
  async listen(): Promise<void> {
    const { host, respPort: port } = this.#options;
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', (cause: NodeJS.ErrnoException) => {
        const why =
          cause.code === 'EADDRINUSE'
            ? `crdt-sync: RESP port ${port} on ${host} is in use; is another plane running?`
            : `crdt-sync: cannot listen on ${host}:${port}: ${cause.message}`;
        reject(new Error(why, { cause }));
      });
      this.#server.listen({ host, port, exclusive: true }, resolve);
    });
    const address = this.#server.address();
    this.#port = typeof address === 'object' && address !== null ? address.port : port;
  }

  /** Answers what was taken, and closes, at most `drainTimeoutMs`. */
  async drain(): Promise<void> {
    this.#server.close();
    for (const connection of this.#open.keys()) connection.end();
    const deadline = performance.now() + this.#options.drainTimeoutMs;
    while (this.#open.size > 0 && performance.now() < deadline) {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  async stop(): Promise<void> {
    for (const destroy of this.#open.values()) destroy();
    if (this.#server.listening) {
      await new Promise<void>((resolve) => this.#server.close(() => resolve()));
    }
  }
}
