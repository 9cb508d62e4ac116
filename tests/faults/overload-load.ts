/**
 * A process that asks a plane on many kept connections, as cheaply as it can: at five times of what a
 * core can do, a core has to do the asking.
 */
import { connect, type Socket } from 'node:net';
import type { AppendAnswer } from '@memplane/testkit';
import { type AcknowledgedPlaces, acknowledge } from './acknowledged.ts';

/** Appends of one caller. */
export interface Stream {
  readonly name: string;
  readonly token?: string;
  readonly clients: number;
  readonly events_per_request: number;
  /**
   * Begun at this rate, at random times, whatever becomes of them, as long as a client is free;
   * undefined: each client asks again as soon as it is answered.
   */
  readonly requests_per_second?: number;
  /** Whether who is refused waits as it is told, with jitter, as `@memplane/client` does. */
  readonly obeys?: boolean;
}

export interface LoadOrder {
  readonly port: number;
  readonly streams: readonly Stream[];
  readonly durationMs: number;
}

export interface StreamResult {
  readonly name: string;
  readonly offered: number;
  /** Of those offered: what no client was free for. */
  readonly unsent: number;
  /** By status; 0: the connection broke. */
  readonly answers: Readonly<Record<number, number>>;
  /** Of each accepted one: when it was due, and how long after that it was answered, in ms. */
  readonly acceptedAtMs: Float64Array;
  readonly acceptedTookMs: Float64Array;
  readonly elapsedMs: number;
}

/** How long after the end answers are waited for. */
const LAST_ANSWERS_MS = 20_000;
const TICK_MS = 1;
const JITTER = 0.5;
const TEXT = 'x'.repeat(280);
const places: AcknowledgedPlaces = new Map();

/** One client: one connection, one request at a time, one entity. */
class Client {
  readonly #socket: Socket;
  readonly #request: Buffer;
  readonly #onAnswer: (client: Client, status: number, text: string) => void;
  #text = '';
  #missing = -1;
  dueMs = 0;

  constructor(
    port: number,
    { name, token, events_per_request }: Stream,
    number: number,
    onAnswer: (client: Client, status: number, text: string) => void,
  ) {
    this.#onAnswer = onAnswer;
    const event = {
      ...{ type: 'Noted', entity: `user/${name}-${number}`, source: 'overload' },
      data: { text: TEXT },
    };
    const body = JSON.stringify(Array.from({ length: events_per_request }, () => event));
    const auth = token === undefined ? '' : `authorization: Bearer ${token}\r\n`;
    this.#request = Buffer.from(
      `POST /v1/events HTTP/1.1\r\nhost: plane\r\ncontent-type: application/json\r\n${auth}` +
        `content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
    );
    this.#socket = connect({ port, host: '127.0.0.1', noDelay: true });
    this.#socket.on('data', (chunk) => this.#take(chunk.toString('latin1')));
    this.#socket.on('close', () => this.#onAnswer(this, 0, ''));
    this.#socket.on('error', () => {});
  }

  send(dueMs: number): void {
    this.dueMs = dueMs;
    this.#socket.write(this.#request);
  }

  end(): void {
    this.#socket.removeAllListeners('close').destroy();
  }

  #take(part: string): void {
    this.#text += part;
    if (this.#missing < 0) {
      const end = this.#text.indexOf('\r\n\r\n');
      if (end < 0) return;
      const length = /\r\ncontent-length: (\d+)/i.exec(this.#text.slice(0, end))?.[1];
      if (length === undefined) throw new Error(`no length: ${this.#text.slice(0, end)}`);
      this.#missing = end + 4 + Number(length);
    }
    if (this.#text.length < this.#missing) return;
    const text = this.#text;
    this.#text = '';
    this.#missing = -1;
    this.#onAnswer(this, Number(text.slice(9, 12)), text.slice(text.indexOf('\r\n\r\n') + 4));
  }
}

/** Those who ask for one stream. */
class Senders {
  readonly #stream: Stream;
  readonly #clients: readonly Client[];
  readonly #free: Client[];
  readonly #answers: Record<number, number> = {};
  readonly #atMs: number[] = [];
  readonly #tookMs: number[] = [];
  readonly #startedMs = performance.now();
  #offered = 0;
  #unsent = 0;
  #nextMs = this.#startedMs;
  #isOver = false;

  constructor(port: number, stream: Stream) {
    this.#stream = stream;
    this.#clients = Array.from(
      { length: stream.clients },
      (_, number) =>
        new Client(port, stream, number, (client, status, text) =>
          this.#take(client, status, text),
        ),
    );
    this.#free = [...this.#clients];
  }

  /** Begins what is due. */
  tick(): void {
    const nowMs = performance.now();
    const { requests_per_second } = this.#stream;
    if (requests_per_second === undefined) {
      while (this.#free.length > 0) this.#begin(nowMs);
      return;
    }
    for (; this.#nextMs <= nowMs; this.#nextMs += untilNextMs(requests_per_second)) {
      this.#begin(this.#nextMs);
    }
  }

  async end(): Promise<StreamResult> {
    const elapsedMs = performance.now() - this.#startedMs;
    this.#isOver = true;
    const deadlineMs = performance.now() + LAST_ANSWERS_MS;
    while (this.#free.length < this.#clients.length && performance.now() < deadlineMs) {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    for (const client of this.#clients) client.end();
    return {
      name: this.#stream.name,
      offered: this.#offered,
      unsent: this.#unsent,
      answers: this.#answers,
      acceptedAtMs: Float64Array.from(this.#atMs),
      acceptedTookMs: Float64Array.from(this.#tookMs),
      elapsedMs,
    };
  }

  #begin(dueMs: number): void {
    this.#offered++;
    const client = this.#free.pop();
    if (client === undefined) this.#unsent++;
    else client.send(dueMs);
  }

  #take(client: Client, status: number, text: string): void {
    this.#answers[status] = (this.#answers[status] ?? 0) + 1;
    if (status === 201) {
      this.#atMs.push(client.dueMs - this.#startedMs);
      this.#tookMs.push(performance.now() - client.dueMs);
      for (const one of (JSON.parse(text) as AppendAnswer).accepted) acknowledge(places, one);
    }
    const told = this.#stream.obeys ? Number(/"retryAfterMs":(\d+)/.exec(text)?.[1] ?? 0) : 0;
    if (told === 0) this.#release(client);
    else setTimeout(() => this.#release(client), told * (1 + JITTER * Math.random()));
  }

  #release(client: Client): void {
    this.#free.push(client);
    if (this.#stream.requests_per_second === undefined && !this.#isOver) this.tick();
  }
}

/** Of arrivals that know nothing of each other. */
function untilNextMs(perSecond: number): number {
  return (-Math.log(1 - Math.random()) * 1_000) / perSecond;
}

async function run({ port, streams, durationMs }: LoadOrder): Promise<StreamResult[]> {
  const senders = streams.map((stream) => new Senders(port, stream));
  const endMs = performance.now() + durationMs;
  while (performance.now() < endMs) {
    for (const sender of senders) sender.tick();
    await new Promise((resolve) => setTimeout(resolve, TICK_MS));
  }
  return Promise.all(senders.map((sender) => sender.end()));
}

process.on('message', (order: LoadOrder | 'places') => {
  if (order === 'places') process.send?.(places);
  else void run(order).then((results) => process.send?.(results));
});
