import type { Socket } from 'node:net';
import { MemplaneError, NAME_PATTERN } from '@memplane/contracts';
import { type Permit, toMemplaneError } from '@memplane/runtime';
import type { MembersView } from '../domain/cluster/members-view.ts';
import type { Command } from '../domain/command.ts';
import type { CrdtStore } from '../domain/port.ts';
import {
  type CommitVector,
  decodeSessionToken,
  encodeSessionToken,
} from '../domain/session-token.ts';
import { waitUntilCovered } from '../domain/vector-wait.ts';
import type { Batch, BatchAdmission } from './batch-admission.ts';
import { errorReply, NAME_FAILURE, planCommand } from './commands.ts';
import { RespParser, RespProtocolError } from './parser.ts';
import { RespCommand, weightOf } from './resp-command.ts';
import { Session, type SessionOptions } from './session.ts';
import * as write from './writer.ts';

export interface ConnectionOptions extends SessionOptions {
  readonly store: CrdtStore;
  /** What CRDT.MEMBERS tells. */
  readonly membersView: () => MembersView;
  readonly set_elements_max: number;
  readonly resp_pipeline_commands_max: number;
  readonly resp_command_bytes_max: number;
  readonly resp_output_bytes_max: number;
  readonly resp_unauthenticated_timeout_ms: number;
  /** How long CRDT.AFTER waits. */
  readonly wait_ms_max: number;
}

/** How long a peer has to read what it was told at last, and to close. */
const LINGER_TIMEOUT_MS = 1_000;
/** A peer that is gone without a word is noticed by its kernel's silence after so long. */
const KEEP_ALIVE_DELAY_MS = 300_000;

/** An answer in its turn; undefined until it is known. */
interface Turn {
  reply: string | undefined;
  readonly weight: number;
  /** Of a scan: what is asked first, and fails instead of it. */
  before?: Command | undefined;
  /** Of the batch whose last command this is. */
  permit?: Permit | undefined;
}

/**
 * One peer: commands are answered in the order in which they came, however many wait for the disk.
 * Not read from while too many commands or answers wait, so that a fast or deaf peer costs nothing.
 */
export class RespConnection {
  readonly #socket: Socket;
  readonly #options: ConnectionOptions;
  readonly #address: string;
  readonly #session: Session;
  readonly #parser: RespParser;
  readonly #turns: Turn[] = [];
  /** Answers that are no text, in their turns. */
  readonly #raws: { readonly turn: Turn; readonly bytes: Buffer }[] = [];
  /** Ends a peer that does not say who it is, or does not close. */
  #timer: NodeJS.Timeout | undefined;
  /** Of all turns; see `weightOf`. */
  #weight = 0;
  /** No more is taken; what was is answered. */
  #isEnding = false;
  /** The peer sends no more, and may still listen. */
  #isPeerDone = false;
  #isClosed = false;
  #isFlushing = false;
  /** CRDT.AFTER waits, a token is being verified, or there is no room: nothing is read meanwhile. */
  #isWaiting = false;
  readonly #admission: BatchAdmission;
  /** That came since the last batch. */
  #unadmittedBytes = 0;
  /** The answer to what is not let in. */
  #busy: string | undefined;
  readonly #settled: (command: Command) => void;

  constructor(socket: Socket, options: ConnectionOptions, admission: BatchAdmission) {
    this.#socket = socket;
    this.#options = options;
    this.#address = socket.remoteAddress ?? '';
    this.#session = new Session(options, socket.remoteAddress);
    this.#parser = new RespParser(options.resp_command_bytes_max);
    this.#admission = admission;
    this.#settled = (settled) => {
      const command = settled as RespCommand;
      const error = command.before?.error ?? command.error;
      command.reply = error ? errorReply(error) : command.render(command);
      this.#flushSoon();
    };
    socket.setNoDelay(true);
    socket.setKeepAlive(true, KEEP_ALIVE_DELAY_MS);
    socket.on('data', (chunk) => {
      // What follows the last command, or what broke the protocol, is read and forgotten.
      if (this.#isEnding) return;
      this.#parser.push(chunk);
      this.#unadmittedBytes += chunk.length;
      this.#read();
    });
    socket.on('drain', () => this.#read());
    socket.on('error', () => socket.destroy());
    socket.once('end', () => {
      this.#isPeerDone = true;
      this.#flushSoon();
    });
    socket.once('close', () => clearTimeout(this.#timer));
    if (!this.#session.caller.isAllowed) {
      this.#timer = setTimeout(() => socket.destroy(), options.resp_unauthenticated_timeout_ms);
    }
  }

  /** Answers what was taken, then closes. */
  end(): void {
    this.#isEnding = true;
    this.#flushSoon();
  }

  #read(): void {
    const { caller } = this.#session;
    if (caller.isOver && !this.#isEnding) {
      // A client that connects anew shows what it has now.
      this.#answer(write.failure('NOAUTH What was shown counts no more.'));
      this.#isEnding = true;
    }
    if (!this.#isStopped()) {
      const batch = this.#enter();
      if (batch instanceof Promise) this.#waitForRoom(batch);
      else this.#takeBatch(batch);
    }
    this.#goOn();
  }

  /** Listens on, or not, and answers what can be. */
  #goOn(): void {
    if (this.#isWaiting || this.#isFull()) this.#socket.pause();
    else this.#socket.resume();
    const isAnswered = this.#turns[0]?.reply !== undefined;
    if (isAnswered || this.#isEnding || this.#isPeerDone) this.#flushSoon();
  }

  #isStopped(): boolean {
    return this.#isEnding || this.#isWaiting || this.#isFull();
  }

  /** Who has not said who it is may do that, and nothing that takes long. */
  #enter(): Batch | Promise<Batch> {
    const { caller } = this.#session;
    const bytes = this.#unadmittedBytes;
    this.#unadmittedBytes = 0;
    if (!caller.isAllowed) return { permit: undefined };
    return this.#admission.enter(bytes, caller.tenant, caller.agent ?? this.#address);
  }

  #waitForRoom(entering: Promise<Batch>): void {
    this.#isWaiting = true;
    void entering.then((batch) => {
      this.#isWaiting = false;
      this.#takeBatch(batch);
      this.#goOn();
    });
  }

  /** Its last answer ends the batch. */
  #takeBatch(batch: Batch): void {
    const permit = 'permit' in batch ? batch.permit : undefined;
    this.#busy = 'busy' in batch ? batch.busy : undefined;
    const before = this.#turns.at(-1);
    this.#takeAll();
    const last = this.#turns.at(-1);
    // What waits for others needs no place meanwhile.
    if (last === undefined || last === before || this.#isWaiting) {
      this.#admission.leave(permit, false);
    } else last.permit = permit;
  }

  #takeAll(): void {
    const { caller } = this.#session;
    try {
      while (!this.#isStopped()) {
        if (caller.mayWrite && this.#parser.nextIncrement()) {
          this.#increment();
          continue;
        }
        const words = this.#parser.next();
        if (words === undefined) break;
        if (this.#parser.isUtf8) this.#take(words);
        else this.#takeRaw(words);
      }
    } catch (error) {
      if (!(error instanceof RespProtocolError)) throw error;
      this.#answer(write.failure(`ERR ${error.message}`));
      this.#isEnding = true;
    }
  }

  /** Any bytes may be asked back: `redis-cli --pipe` knows by that when it is through. */
  #takeRaw(words: readonly string[]): void {
    const name = (words[0] ?? '').toUpperCase();
    const isEcho = words.length === 2 && (name === 'ECHO' || name === 'PING');
    if (!isEcho || !this.#session.caller.isAllowed) {
      this.#answer(write.failure('ERR arguments must be valid UTF-8'));
      return;
    }
    const bytes = write.bulkBytes(this.#parser.raw);
    const turn = { reply: '', weight: weightOf(bytes.length) };
    this.#queue(turn);
    this.#raws.push({ turn, bytes });
  }

  #queue(turn: Turn): void {
    this.#turns.push(turn);
    this.#weight += turn.weight;
  }

  /** What is known at once. */
  #answer(reply: string): void {
    this.#queue({ reply, weight: weightOf(reply.length) });
  }

  #isFull(): boolean {
    const { resp_pipeline_commands_max, resp_output_bytes_max } = this.#options;
    return (
      this.#weight >= resp_pipeline_commands_max ||
      this.#socket.writableLength > resp_output_bytes_max
    );
  }

  /** The way of the most frequent command: no words, no plan, one object. */
  #increment(): void {
    const { name, by } = this.#parser;
    if (this.#busy !== undefined) {
      this.#answer(this.#busy);
      return;
    }
    if (!NAME_PATTERN.test(name)) {
      this.#answer(NAME_FAILURE);
      return;
    }
    const { audit, caller } = this.#session;
    audit.allowed(caller.identity, 'CRDT.INCR', name);
    const command = new RespCommand('increment', caller.tenant, name, this.#settled);
    command.by = by;
    this.#queue(command);
    this.#submit(command);
  }

  #submit(command: RespCommand): void {
    try {
      this.#options.engine.submit(command);
    } catch (error) {
      if (!(error instanceof MemplaneError)) throw error;
      command.reply = errorReply(error);
    }
  }

  #take(words: readonly string[]): void {
    const own = this.#session.answer(words);
    if (own !== undefined) {
      if (typeof own === 'string') this.#answer(own);
      else this.#answerLater(own);
      if (this.#session.isQuitting) this.#isEnding = true;
      if (this.#session.caller.isAllowed) clearTimeout(this.#timer);
      return;
    }
    if (this.#busy !== undefined) {
      this.#answer(this.#busy);
      return;
    }
    const { engine, store, set_elements_max, membersView } = this.#options;
    if (words[0]?.toUpperCase() === 'CRDT.AFTER') {
      this.#after(words);
      return;
    }
    const planned = planCommand(words, {
      tenant: this.#session.caller.tenant,
      version: this.#session.version,
      membersView,
      store,
      set_elements_max,
      settled: this.#settled,
      sessionToken: async () => encodeSessionToken(await engine.shownVector()),
    });
    if (planned === undefined) {
      const name = (words[0] ?? '').slice(0, 128);
      this.#answer(write.failure(`ERR unknown command '${name}'`));
    } else if ('reply' in planned) {
      this.#answer(planned.reply);
    } else {
      const { command, before } = planned;
      command.before = before;
      this.#queue(command);
      if (before !== undefined) this.#submit(before);
      this.#submit(command);
    }
  }

  /** Reads no further until the answer is known. */
  #answerLater(later: Promise<string>): void {
    const turn: Turn = { reply: undefined, weight: 1 };
    this.#queue(turn);
    this.#isWaiting = true;
    void later.then((reply) => {
      this.#isWaiting = false;
      turn.reply = reply;
      if (this.#session.caller.isAllowed && !this.#isClosed) clearTimeout(this.#timer);
      this.#read();
    });
  }

  /** Waits until this replica has what the token asks for, or time is up. */
  #after(words: readonly string[]): void {
    if (words.length !== 2) {
      this.#answer(write.wrongArguments('crdt.after'));
      return;
    }
    try {
      this.#answerLater(this.#waitFor(decodeSessionToken(words[1] ?? '')));
    } catch (error) {
      if (!(error instanceof MemplaneError)) throw error;
      this.#answer(errorReply(error));
    }
  }

  /** The answer to CRDT.AFTER. */
  async #waitFor(needs: CommitVector): Promise<string> {
    const { engine, wait_ms_max } = this.#options;
    const end = new AbortController();
    const abort = () => end.abort();
    const timer = setTimeout(abort, wait_ms_max);
    this.#socket.once('close', abort);
    try {
      if (await waitUntilCovered(engine, needs, end.signal)) return write.simple('OK');
      return write.failure('ERR not_yet_visible This replica does not have it yet.');
    } catch (error) {
      return errorReply(toMemplaneError(error));
    } finally {
      clearTimeout(timer);
      this.#socket.off('close', abort);
    }
  }

  /** After all of a batch are settled, so that answers that are ready go out in one write. */
  #flushSoon(): void {
    if (this.#isFlushing) return;
    this.#isFlushing = true;
    if (RespConnection.#ready.push(this) === 1) queueMicrotask(RespConnection.#flushAll);
  }

  /** Those with something to write, of all connections: one task for a batch's answers to many. */
  static #ready: RespConnection[] = [];

  static #flushAll(this: void): void {
    const ready = RespConnection.#ready;
    RespConnection.#ready = [];
    for (const connection of ready) connection.#flush();
  }

  #flush(): void {
    this.#isFlushing = false;
    const wasFull = this.#isFull();
    let count = 0;
    let text = '';
    for (const turn of this.#turns) {
      if (turn.reply === undefined) break;
      if (turn === this.#raws[0]?.turn) {
        const [raw] = this.#raws.splice(0, 1);
        if (!this.#socket.destroyed && raw !== undefined) {
          if (text !== '') this.#socket.write(text);
          this.#socket.write(raw.bytes);
        }
        text = '';
      }
      text += turn.reply;
      if (turn.permit !== undefined) this.#admission.leave(turn.permit, true);
      this.#weight -= turn.weight;
      count++;
    }
    if (count > 0) {
      if (count === this.#turns.length) this.#turns.length = 0;
      else this.#turns.splice(0, count);
      if (text !== '' && !this.#socket.destroyed) this.#socket.write(text);
    }
    if (wasFull && !this.#isFull() && !this.#isEnding) this.#read();
    else if (this.#turns.length > 0) return;
    else if (this.#isEnding || (this.#isPeerDone && !this.#isStopped())) this.#close();
  }

  /** Once all is answered. Closed at once, what the peer has not read yet would be lost to it. */
  #close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#isEnding = true;
    clearTimeout(this.#timer);
    this.#socket.end(() => {
      this.#timer = setTimeout(() => this.#socket.destroy(), LINGER_TIMEOUT_MS);
    });
    this.#socket.resume();
  }
}
