import { createServer, type IncomingMessage, request, type Server } from 'node:http';
import { type Plane, type PlanePorts, type PlaneService, SERVICE_NAMES } from './plane.ts';

/** An answer of a plane on its way to whoever asked. */
export interface PassingAnswer {
  status: number;
  headers: Record<string, string>;
  // biome-ignore lint/suspicious/noExplicitAny: tests change what they know of
  body: any;
}

/** Changes an answer, or says that the connection breaks instead. */
export type Alteration = (answer: PassingAnswer) => undefined | 'break';

/**
 * Stands before the four services of a plane and passes everything on, but for answers that a test
 * has altered: by `service /path`, without the query.
 */
export class AlteringProxy implements AsyncDisposable {
  readonly alterations = new Map<string, Alteration>();
  readonly #servers: Server[] = [];

  static async start(plane: Plane, ports: PlanePorts): Promise<AlteringProxy> {
    const proxy = new AlteringProxy();
    for (const service of SERVICE_NAMES) await proxy.#listen(service, plane, ports[service]);
    return proxy;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const server of this.#servers) {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    }
  }

  #listen(service: PlaneService, plane: Plane, port: number): Promise<void> {
    const server = createServer((incoming, outgoing) => {
      const { method = 'GET', url = '/', headers } = incoming;
      const alter = this.alterations.get(`${service} ${url.split('?')[0]}`);
      const passed = request(plane.url(service) + url, { method, headers }, async (answer) => {
        if (alter === undefined) {
          outgoing.writeHead(answer.statusCode ?? 0, answer.headers);
          answer.pipe(outgoing);
          return;
        }
        const altered = await altering(answer, alter);
        if (altered === 'break') return outgoing.destroy();
        const text = JSON.stringify(altered.body);
        outgoing.sendDate = false;
        outgoing.writeHead(altered.status, altered.headers).end(text);
      });
      passed.on('error', () => outgoing.destroy());
      incoming.pipe(passed);
    });
    this.#servers.push(server);
    return new Promise((resolve) => server.listen(port, '127.0.0.1', () => resolve()));
  }
}

async function altering(
  answer: IncomingMessage,
  alter: Alteration,
): Promise<PassingAnswer | 'break'> {
  const parts: Buffer[] = [];
  for await (const part of answer) parts.push(part as Buffer);
  const text = Buffer.concat(parts).toString('utf8');
  const passing: PassingAnswer = {
    status: answer.statusCode ?? 0,
    headers: { 'content-type': 'application/json', date: answer.headers.date ?? '' },
    body: text === '' ? undefined : JSON.parse(text),
  };
  return alter(passing) ?? passing;
}
