import { once } from 'node:events';
import { connect } from 'node:net';
import {
  type Answer,
  bearerOf,
  call,
  Plane,
  type PlaneService,
  ScratchFolder,
  type TokenOf,
  writeTenants,
} from '@memplane/testkit';

/** What all of tenant B's own data carries: never to be seen in an answer to A. */
export const SECRET = 'of-tenant-b';

/** What a request of A is made of; refs stand for what this world's plane has answered to A. */
export interface Step {
  readonly operation: string;
  readonly service: PlaneService;
  readonly method: string;
  readonly path: string;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  /** Instead of the above: a command over RESP. */
  readonly resp?: readonly string[];
}

interface Shown {
  readonly status: number;
  readonly body: unknown;
}

/** A plane in which tenant A lives, with or without others. */
export class World implements AsyncDisposable {
  readonly #folder: ScratchFolder;
  readonly #plane: Plane;
  /** By kind: `token`, `cursor`, `replay`, and `offset_` with each entity. */
  readonly #known = new Map<string, string[]>();
  /** Everything that was answered to A, as it came. */
  readonly raw: string[] = [];

  private constructor(folder: ScratchFolder, plane: Plane) {
    this.#folder = folder;
    this.#plane = plane;
  }

  static async start(tokens: Readonly<Record<string, TokenOf>>): Promise<World> {
    const folder = new ScratchFolder('isolation');
    const env = {
      MEMPLANE_TENANTS: writeTenants(folder.path, tokens),
      MEMPLANE_EMBEDDING_DIMENSIONS: '4',
      // They come when they come.
      MEMPLANE_COUNTER_PUBLISHING: 'false',
      MEMPLANE_LAG_POLL_MS: '100',
    };
    const plane = await Plane.start({ dataDir: `${folder.path}/plane`, env });
    return new World(folder, plane);
  }

  /** @param token whose call it is; A's by default */
  async ask(step: Step, token = 'a'): Promise<Shown> {
    if (step.resp !== undefined) return { status: 0, body: await this.#resp(step.resp, token) };
    const { method, service, headers } = step;
    const url = this.#plane.url(service) + this.#filled(step.path);
    const body =
      step.body === undefined ? undefined : JSON.parse(this.#filled(JSON.stringify(step.body)));
    const answer = await call<Record<string, unknown>>(method, url, {
      headers: { ...bearerOf(token), ...headers },
      ...(body === undefined ? {} : { body }),
    });
    if (token === 'a') await this.#learn(step, answer);
    return { status: answer.status, body: shown(answer) };
  }

  async operations(): Promise<
    { service: PlaneService; id: string; method: string; path: string }[]
  > {
    const services: PlaneService[] = ['event-ingest', 'materializer', 'crdt-sync', 'vector-index'];
    const found = await Promise.all(
      services.map(async (service) => {
        const headers = bearerOf('a');
        const url = `${this.#plane.url(service)}/openapi.json`;
        const { body } = await call<Document>('GET', url, { headers });
        return Object.entries(body.paths).flatMap(([path, item]) =>
          Object.entries(item).map(([method, { operationId: id }]) => ({
            ...{ service, id, path, method: method.toUpperCase() },
          })),
        );
      }),
    );
    return found.flat();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#plane[Symbol.asyncDispose]();
    this.#folder[Symbol.dispose]();
  }

  /** Puts what this world has answered where `<token:3>`, or as a number `"#<offset:3>"`, stands. */
  #filled(text: string): string {
    const find = (kind: string, n: string) => {
      const known = this.#known.get(kind) ?? [];
      return known[Number(n) % Math.max(1, known.length)];
    };
    return text
      .replaceAll(/"#<(\w+):(\d+)>"/g, (_, kind: string, n: string) => find(kind, n) ?? '0')
      .replaceAll(/<(\w+):(\d+)>/g, (_, kind: string, n: string) => find(kind, n) ?? 'none');
  }

  async #learn(
    { operation }: Step,
    { status, text, body }: Answer<Record<string, unknown>>,
  ): Promise<void> {
    this.raw.push(text);
    if (status >= 300 || body === undefined) return;
    if (operation === 'appendEvents') {
      this.#keep('token', body['token']);
      this.#known.set('last', [String(body['token'])]);
      for (const { entity, offset } of body['accepted'] as { entity: string; offset: number }[]) {
        this.#keep(`offset_${entity.replace('/', '_')}`, offset);
      }
    }
    if (operation === 'appendEvents') {
      // What does not wait for tokens itself shows it from here on.
      const url = `${this.#plane.materializer}/v1/events?id=none&after=${body['token']}`;
      await call('GET', url, { headers: bearerOf('a') });
    }
    if (operation === 'queryEntities') this.#keep('cursor', body['cursor']);
    if (operation === 'createReplay') this.#keep('replay', body['id']);
  }

  #keep(kind: string, value: unknown): void {
    if (value === undefined) return;
    this.#known.set(kind, [...(this.#known.get(kind) ?? []), String(value)]);
  }

  async #resp(words: readonly string[], token: string): Promise<string> {
    const socket = connect(this.#plane.ports.resp, '127.0.0.1');
    const line = (all: readonly string[]) =>
      `*${all.length}\r\n${all.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`).join('')}`;
    socket.write(line(['AUTH', token]) + line(words) + line(['QUIT']));
    let text = '';
    socket.on('data', (part) => {
      text += String(part);
    });
    await once(socket, 'close');
    if (token === 'a') this.raw.push(text);
    return text.replaceAll(/m[pc]t_[\w-]+/g, '<token>').replaceAll(/\$\d+\r\n<token>/g, '<token>');
  }
}

interface Document {
  readonly paths: Record<string, Record<string, { operationId: string }>>;
}

/** Ids that the plane makes, times, positions, tokens: they may be others where others live too. */
const OWN_TO_A_WORLD = new Set([
  ...[
    'token',
    'offset',
    'offsets',
    'from',
    'next',
    'cursor',
    'asOf',
    'epoch',
    'logId',
    'hlc',
    'time',
  ],
  ...['timeMs', 'historyStarts', 'applied', 'traceparent', 'incarnation', 'ownerEpoch', 'digest'],
]);

function shown({ text, body }: Answer<Record<string, unknown>>): unknown {
  if (body !== undefined) return stripped(body);
  return text
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith(':'))
    .map((line) => {
      const json = line.replace(/^data: /, '');
      return json.startsWith('{') ? stripped(JSON.parse(json)) : json.replaceAll(/\d+/g, '#');
    });
}

function stripped(value: unknown, isReplay = false): unknown {
  if (Array.isArray(value)) return value.map((one) => stripped(one));
  if (typeof value !== 'object' || value === null) return value;
  const replay = isReplay || 'projection' in value;
  const kept = Object.entries(value).map(([key, inner]) => {
    if (OWN_TO_A_WORLD.has(key) || (replay && key === 'id')) return [key, '<own>'];
    if (key === 'detail') return [key, String(inner).replaceAll(/\d+/g, '#')];
    return [key, stripped(inner)];
  });
  return Object.fromEntries(kept);
}
