import { createServer, type Server } from 'node:http';
import { call } from './http.ts';

export interface ProxiedAnswer {
  readonly status: number;
  readonly contentType: string;
  readonly text: string;
}

/** Looks at a call and its true answer, and tells a lie in its place; undefined: the truth. */
export type Lie = (
  request: { readonly method: string; readonly path: string; readonly body: string },
  truth: ProxiedAnswer,
) => ProxiedAnswer | undefined;

/** A proxy that lies, to show that a checker would notice a plane that does. */
export class LyingProxy implements AsyncDisposable {
  readonly url: string;
  readonly #server: Server;

  private constructor(server: Server, port: number) {
    this.#server = server;
    this.url = `http://127.0.0.1:${port}`;
  }

  static async before(target: string, lie: Lie): Promise<LyingProxy> {
    const server = createServer(async (request, response) => {
      const parts: Buffer[] = [];
      for await (const part of request) parts.push(part as Buffer);
      const body = Buffer.concat(parts);
      const method = request.method ?? 'GET';
      const path = request.url ?? '/';
      const headers: Record<string, string> = {};
      for (const name of ['content-type', 'accept', 'authorization']) {
        const value = request.headers[name];
        if (typeof value === 'string') headers[name] = value;
      }
      try {
        const answer = await call(method, target + path, {
          headers,
          ...(body.length > 0 ? { body } : {}),
        });
        const truth = {
          status: answer.status,
          contentType: answer.headers['content-type'] ?? '',
          text: answer.text,
        };
        const told = lie({ method, path, body: body.toString() }, truth) ?? truth;
        if (told.contentType !== '') response.setHeader('content-type', told.contentType);
        response.writeHead(told.status).end(method === 'HEAD' ? undefined : told.text);
      } catch {
        response.destroy();
      }
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('no port');
    return new LyingProxy(server, address.port);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
