import type { MessagePort, Worker } from 'node:worker_threads';

type Handler = (from: string, bytes: Uint8Array) => Promise<Uint8Array>;
type Message =
  | { readonly asks: number; readonly method: number; readonly bytes: Uint8Array }
  | { readonly answers: number; readonly bytes: Uint8Array | undefined; readonly error?: string };

/** What two replicas in threads of their own ask each other, as their calls over the network. */
export class PortCaller {
  /** Of questions and answers, both ways. */
  bytes = 0;
  readonly #port: MessagePort | Worker;
  readonly #handlers = new Map<number, Handler>();
  readonly #waiting = new Map<number, PromiseWithResolvers<Uint8Array>>();
  #asked = 0;

  constructor(port: MessagePort | Worker) {
    this.#port = port;
    port.on('message', (message: Message) => {
      if ('asks' in message) void this.#answer(message.asks, message.method, message.bytes);
      else if ('answers' in message) this.#settle(message.answers, message.bytes, message.error);
    });
  }

  call(_to: string, method: number, bytes: Uint8Array): Promise<Uint8Array> {
    const asks = ++this.#asked;
    const waiting = Promise.withResolvers<Uint8Array>();
    this.#waiting.set(asks, waiting);
    this.bytes += bytes.length;
    this.#port.postMessage({ asks, method, bytes } satisfies Message);
    return waiting.promise;
  }

  onCall(method: number, handler: Handler): void {
    this.#handlers.set(method, handler);
  }

  async #answer(answers: number, method: number, question: Uint8Array): Promise<void> {
    this.bytes += question.length;
    try {
      const bytes = await this.#handlers.get(method)?.('other', question);
      this.bytes += bytes?.length ?? 0;
      this.#port.postMessage({ answers, bytes } satisfies Message);
    } catch (cause) {
      const error = String(cause);
      this.#port.postMessage({ answers, bytes: undefined, error } satisfies Message);
    }
  }

  #settle(answers: number, bytes: Uint8Array | undefined, error = 'no such method'): void {
    const waiting = this.#waiting.get(answers);
    this.#waiting.delete(answers);
    if (bytes === undefined) waiting?.reject(new Error(error));
    else {
      this.bytes += bytes.length;
      waiting?.resolve(bytes);
    }
  }
}
