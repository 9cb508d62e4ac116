import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { MIB, processMemory, ScratchFolder } from '@memplane/testkit';
import { TestInstance } from '../../../services/crdt-sync/src/test-instance.ts';
import type { Limits } from './reference.ts';
import { readReplies } from './replies.ts';
import { frame } from './requests.ts';
import { afterOwnTime, open } from './talk.ts';

export const TOKEN = 'a-token';
export const LIMITS: Limits = {
  inlineBytesMax: 64 * 1024,
  argumentsMax: 1024 * 1024,
  commandBytesMax: 256 * 1024,
};
const OUTPUT_BYTES_MAX = 256 * 1024;
/** While others do their worst, on a machine that may be busy. */
const ANSWER_MS_MAX = 5_000;
/** What all that a test does at once may make a server hold beyond what it held at first. */
const MEMORY_GROWTH_BYTES_MAX = 320 * MIB;

/** A crdt-sync to be tried, and somebody who goes on using it. */
export class Target implements AsyncDisposable {
  readonly instance: TestInstance;
  readonly #folder: ScratchFolder;
  readonly #memoryBefore: number;
  readonly #witness: Promise<void>;
  #isOver = false;
  #failure: Error | undefined;
  memoryGrowthMax = 0;
  answerMsMax = 0;
  answers = 0;

  private constructor(instance: TestInstance, folder: ScratchFolder, parts: TargetParts) {
    this.instance = instance;
    this.#folder = folder;
    this.#memoryBefore = parts.memoryBefore;
    this.#witness = this.#use(parts.socket).catch((error: unknown) => {
      this.#failure = error as Error;
    });
  }

  static async start(): Promise<Target> {
    const folder = new ScratchFolder('resp-fuzz');
    const instance = await TestInstance.start({
      MEMPLANE_DATA_DIR: folder.path,
      MEMPLANE_TOKEN: TOKEN,
      MEMPLANE_RESP_COMMAND_BYTES_MAX: String(LIMITS.commandBytesMax),
      MEMPLANE_RESP_OUTPUT_BYTES_MAX: String(OUTPUT_BYTES_MAX),
      MEMPLANE_WAIT_MS: '50',
      MEMPLANE_LOG_LEVEL: 'warn',
    });
    const { anonymous } = await processMemory(instance.child.pid ?? 0);
    const socket = await open(instance.respPort);
    return new Target(instance, folder, { socket, memoryBefore: anonymous });
  }

  get port(): number {
    return this.instance.respPort;
  }

  /** @throws AssertionError what is wrong with the server, as its other user and the kernel see it */
  check(): void {
    const { exitCode, signalCode } = this.instance.child;
    if (exitCode !== null || signalCode !== null) {
      assert.fail(`the server has died (${exitCode ?? signalCode}):\n${this.instance.output}`);
    }
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** Counts up, and sees that each answer is the next number, and comes soon. */
  async #use(socket: Socket): Promise<void> {
    let heard = Buffer.alloc(0);
    let wake = () => {};
    socket.on('data', (part) => {
      heard = Buffer.concat([heard, part]);
      wake();
    });
    const ask = async (words: string[], ended: Buffer) => {
      const started = performance.now();
      heard = Buffer.alloc(0);
      socket.write(frame(words));
      let isLate = false;
      const stop = afterOwnTime(ANSWER_MS_MAX, () => {
        isLate = true;
        wake();
      });
      while (!isLate && !heard.subarray(-ended.length).equals(ended)) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
      stop();
      if (isLate) assert.fail(`no answer within ${ANSWER_MS_MAX} ms: others hold it up`);
      this.answerMsMax = Math.max(this.answerMsMax, performance.now() - started);
      return readReplies(heard);
    };
    await ask(['AUTH', TOKEN], Buffer.from('\r\n'));
    for (let number = 1; !this.#isOver; number++) {
      const [reply] = await ask(['CRDT.INCR', 'witness', '1'], Buffer.from('\r\n'));
      if (reply?.kind !== ':' || reply.text.toString() !== String(number)) {
        assert.fail(`the ${number}. increment was answered ${reply?.kind}${reply?.text}`);
      }
      this.answers++;
      await this.#weigh();
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    socket.destroy();
  }

  async #weigh(): Promise<void> {
    const { anonymous } = await processMemory(this.instance.child.pid ?? 0);
    const growth = anonymous - this.#memoryBefore;
    this.memoryGrowthMax = Math.max(this.memoryGrowthMax, growth);
    if (growth <= MEMORY_GROWTH_BYTES_MAX) return;
    assert.fail(`the server's memory has grown by ${Math.round(growth / MIB)} MiB`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isOver = true;
    await this.#witness;
    await this.instance[Symbol.asyncDispose]();
    this.#folder[Symbol.dispose]();
  }
}

interface TargetParts {
  readonly socket: Socket;
  readonly memoryBefore: number;
}
