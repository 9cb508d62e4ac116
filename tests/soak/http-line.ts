import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

/**
 * One kept connection on which one request is under way at a time: as little as can be between an
 * answer and the clock that it is measured by.
 */
export class HttpLine implements Disposable {
  readonly #socket: Socket;
  readonly #token: string;
  #text = '';
  #done: ((status: number) => void) | undefined;
  #failed: ((error: Error) => void) | undefined;

  private constructor(socket: Socket, token: string) {
    this.#socket = socket;
    this.#token = token;
    socket.setNoDelay(true);
    socket.on('data', (part) => this.#take(part.toString('latin1')));
    socket.on('close', () => this.#failed?.(new Error('the connection has ended')));
    socket.on('error', () => {});
  }

  static async open(port: number, token: string): Promise<HttpLine> {
    const socket = connect(port, '127.0.0.1');
    await once(socket, 'connect');
    return new HttpLine(socket, token);
  }

  /** @returns the status of the answer, when all of it is there */
  ask({ method, path, body }: Asked): Promise<number> {
    const text = body === undefined ? '' : JSON.stringify(body);
    const type = body === undefined ? '' : 'content-type: application/json\r\n';
    const answered = new Promise<number>((resolve, reject) => {
      this.#done = resolve;
      this.#failed = reject;
    });
    this.#socket.write(
      `${method} ${path} HTTP/1.1\r\nhost: plane\r\nauthorization: Bearer ${this.#token}\r\n` +
        `${type}content-length: ${Buffer.byteLength(text)}\r\n\r\n${text}`,
    );
    return answered;
  }

  [Symbol.dispose](): void {
    this.#socket.destroy();
  }

  #take(part: string): void {
    this.#text += part;
    const end = this.#text.indexOf('\r\n\r\n');
    if (end < 0) return;
    const length = /\r\ncontent-length: (\d+)/i.exec(this.#text.slice(0, end))?.[1];
    if (length === undefined) throw new Error(`no length: ${this.#text.slice(0, end)}`);
    if (this.#text.length < end + 4 + Number(length)) return;
    const status = Number(this.#text.slice(9, 12));
    this.#text = '';
    this.#done?.(status);
  }
}

export interface Asked {
  readonly method: 'GET' | 'POST' | 'DELETE';
  readonly path: string;
  readonly body?: unknown;
}
