import type { Socket } from 'node:net';
import { DEFAULT_TENANT, MemplaneError, NAME_PATTERN, PLANE_VERSION } from '@memplane/contracts';
import { TokenCheck, toMemplaneError } from '@memplane/runtime';
import type { Command } from '../domain/command.ts';
import type { Engine } from '../domain/engine.ts';
import type { CrdtStore } from '../domain/port.ts';
import {
  type CommitVector,
  decodeSessionToken,
  encodeSessionToken,
} from '../domain/session-token.ts';
import { waitUntilCovered } from '../domain/vector-wait.ts';
import { errorReply, NAME_FAILURE, planCommand } from './commands.ts';
import { RespParser, RespProtocolError } from './parser.ts';
import { RespCommand } from './resp-command.ts';
import * as write from './writer.ts';

export interface ConnectionOptions {
  readonly engine: Engine;
  readonly store: CrdtStore;
  readonly token: string | undefined;
  readonly replicaId: string;
  readonly set_elements_max: number;
  readonly resp_pipeline_commands_max: number;
  readonly resp_command_bytes_max: number;
  readonly resp_output_bytes_max: number;
  readonly resp_unauthenticated_timeout_ms: number;
  /** What CONFIG GET appendfsync answers. */
  readonly appendfsync: () => string;
  /** How long CRDT.AFTER waits. */
  readonly wait_ms_max: number;
}

/** An answer in its turn; undefined until it is known. */
interface Turn {
  reply: string | undefined;
  /** Of a scan: what is asked first, and fails instead of it. */
  before?: Command | undefined;
}

/**
 * One peer: commands are answered in the order in which they came, however many wait for the disk.
 * Not read from while too many commands or answers wait, so that a fast or deaf peer costs nothing.
 */
export class RespConnection {
  readonly #socket: Socket;
  readonly #options: ConnectionOptions;
  readonly #check: TokenCheck | undefined;
  readonly #parser: RespParser;
  readonly #turns: Turn[] = [];
  /** Answers that are no text, in their turns. */
  readonly #raws: { readonly turn: Turn; readonly bytes: Buffer }[] = [];
  readonly #timer: NodeJS.Timeout | undefined;
  #version: write.RespVersion = 2;
  #isAllowed: boolean;
  #isEnding = false;
  #isFlushing = false;
  /** CRDT.AFTER waits: nothing is read meanwhile. */
  #isWaiting = false;
  readonly #settled: (command: Command) => void;

  constructor(socket: Socket, options: ConnectionOptions) {
    this.#socket = socket;
    this.#options = options;
    this.#check = options.token ? new TokenCheck(options.token) : undefined;
    this.#isAllowed = this.#check === undefined;
    this.#parser = new RespParser(options.resp_command_bytes_max);
    this.#settled = (settled) => {
      const command = settled as RespCommand;
      const error = command.before?.error ?? command.error;
      command.reply = error ? errorReply(error) : command.render(command);
      this.#flushSoon();
    };
    socket.setNoDelay(true);
    socket.on('data', (chunk) => {
      this.#parser.push(chunk);
      this.#read();
    });
    socket.on('drain', () => this.#read());
    socket.on('error', () => socket.destroy());
    if (!this.#isAllowed) {
      this.#timer = setTimeout(() => socket.destroy(), options.resp_unauthenticated_timeout_ms);
      socket.once('close', () => clearTimeout(this.#timer));
    }
  }

  /** Answers what was taken, then closes. */
  end(): void {
    this.#isEnding = true;
    if (this.#turns.length === 0) this.#socket.end();
  }

  #read(): void {
    try {
      while (!this.#isEnding && !this.#isWaiting && !this.#isFull()) {
        if (this.#isAllowed && this.#parser.nextIncrement()) {
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
      this.#turns.push({ reply: write.failure(`ERR ${error.message}`) });
      this.#isEnding = true;
    }
    if (this.#isWaiting || this.#isFull()) this.#socket.pause();
    else this.#socket.resume();
    this.#flushSoon();
  }

  /** Any bytes may be asked back: `redis-cli --pipe` knows by that when it is through. */
  #takeRaw(words: readonly string[]): void {
    const name = (words[0] ?? '').toUpperCase();
    const isEcho = words.length === 2 && (name === 'ECHO' || name === 'PING');
    if (!isEcho || !this.#isAllowed) {
      this.#turns.push({ reply: write.failure('ERR arguments must be valid UTF-8') });
      return;
    }
    const turn = { reply: '' };
    this.#turns.push(turn);
    this.#raws.push({ turn, bytes: write.bulkBytes(this.#parser.raw) });
  }

  #isFull(): boolean {
    const { resp_pipeline_commands_max, resp_output_bytes_max } = this.#options;
    return (
      this.#turns.length >= resp_pipeline_commands_max ||
      this.#socket.writableLength > resp_output_bytes_max
    );
  }

  /** The way of the most frequent command: no words, no plan, one object. */
  #increment(): void {
    const { name, by } = this.#parser;
    if (!NAME_PATTERN.test(name)) {
      this.#turns.push({ reply: NAME_FAILURE });
      return;
    }
    const command = new RespCommand('increment', DEFAULT_TENANT, name, this.#settled);
    command.by = by;
    this.#turns.push(command);
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
    const own = this.#answer(words);
    if (own !== undefined) {
      this.#turns.push({ reply: own });
      return;
    }
    const { engine, store, set_elements_max } = this.#options;
    if (words[0]?.toUpperCase() === 'CRDT.AFTER') {
      this.#after(words);
      return;
    }
    const planned = planCommand(words, {
      tenant: DEFAULT_TENANT,
      version: this.#version,
      store,
      set_elements_max,
      settled: this.#settled,
      sessionToken: async () => encodeSessionToken(await engine.shownVector()),
    });
    if (planned === undefined) {
      const name = (words[0] ?? '').slice(0, 128);
      this.#turns.push({ reply: write.failure(`ERR unknown command '${name}'`) });
    } else if ('reply' in planned) {
      this.#turns.push({ reply: planned.reply });
    } else {
      const { command, before } = planned;
      command.before = before;
      this.#turns.push(command);
      if (before !== undefined) this.#submit(before);
      this.#submit(command);
    }
  }

  /** Reads no further until this replica has what the token asks for, or time is up. */
  #after(words: readonly string[]): void {
    const turn: Turn = { reply: undefined };
    this.#turns.push(turn);
    if (words.length !== 2) {
      turn.reply = write.failure("ERR wrong number of arguments for 'crdt.after' command");
      return;
    }
    try {
      const needs = decodeSessionToken(words[1] ?? '');
      this.#isWaiting = true;
      void this.#waitFor(needs).then((reply) => {
        this.#isWaiting = false;
        turn.reply = reply;
        this.#read();
      });
    } catch (error) {
      if (!(error instanceof MemplaneError)) throw error;
      turn.reply = errorReply(error);
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

  /** What a connection answers by itself. */
  #answer(words: readonly string[]): string | undefined {
    const name = (words[0] ?? '').toUpperCase();
    if (name === 'AUTH') return this.#authenticate(words.at(-1) ?? '', words.length);
    if (name === 'HELLO') return this.#hello(words);
    if (name === 'QUIT') {
      this.#isEnding = true;
      return write.simple('OK');
    }
    if (!this.#isAllowed) return write.failure('NOAUTH Authentication required.');
    switch (name) {
      case 'PING':
        return words[1] === undefined ? write.simple('PONG') : write.bulk(words[1]);
      case 'ECHO':
        return write.bulk(words[1] ?? '');
      case 'SELECT':
        return words[1] === '0'
          ? write.simple('OK')
          : write.failure('ERR there is only database 0');
      case 'CLIENT':
        return write.simple('OK');
      case 'COMMAND':
        return write.array([]);
      case 'CONFIG':
        return this.#config(words);
      case 'INFO':
        return write.bulk(this.#info());
      default:
        return undefined;
    }
  }

  #authenticate(token: string, words: number): string {
    if (words < 2 || words > 3) {
      return write.failure("ERR wrong number of arguments for 'auth' command");
    }
    if (this.#check === undefined) {
      return write.failure('ERR AUTH was called, but no token is set on this plane');
    }
    if (!this.#check.matches(token)) {
      return write.failure('WRONGPASS invalid username-password pair or user is disabled.');
    }
    this.#isAllowed = true;
    clearTimeout(this.#timer);
    return write.simple('OK');
  }

  #hello(words: readonly string[]): string {
    const asked = words[1];
    if (asked !== undefined && asked !== '2' && asked !== '3') {
      return write.failure('NOPROTO unsupported protocol version');
    }
    const auth = words.findIndex((word) => word.toUpperCase() === 'AUTH');
    if (auth > 0) {
      const reply = this.#authenticate(words[auth + 2] ?? '', 3);
      if (!reply.startsWith('+')) return reply;
    }
    if (!this.#isAllowed) return write.failure('NOAUTH Authentication required.');
    if (asked !== undefined) this.#version = asked === '3' ? 3 : 2;
    return write.map(this.#version, [
      [write.bulk('server'), write.bulk('memplane')],
      [write.bulk('version'), write.bulk(PLANE_VERSION)],
      [write.bulk('proto'), write.integerReply(this.#version)],
      [write.bulk('mode'), write.bulk('standalone')],
      [write.bulk('role'), write.bulk('master')],
      [write.bulk('modules'), write.array([])],
    ]);
  }

  /** What `redis-benchmark` asks for; nothing can be set here. */
  #config(words: readonly string[]): string {
    const [, verb = '', name = ''] = words;
    if (verb.toUpperCase() !== 'GET') return write.failure('ERR nothing can be configured here');
    const known = new Map([
      ['appendonly', 'yes'],
      ['appendfsync', this.#options.appendfsync()],
      ['save', ''],
    ]).get(name.toLowerCase());
    if (known === undefined) return write.map(this.#version, []);
    return write.map(this.#version, [[write.bulk(name), write.bulk(known)]]);
  }

  #info(): string {
    const { engine, replicaId } = this.#options;
    const { commits, committedCommands, failedCommits } = engine.stats;
    return [
      '# Server',
      `memplane_version:${PLANE_VERSION}`,
      `replica:${replicaId}`,
      `incarnation:${engine.incarnation}`,
      '# Stats',
      `commits:${commits}`,
      `commands_committed:${committedCommands}`,
      `commits_failed:${failedCommits}`,
      '',
    ].join('\r\n');
  }

  /** After all of a batch are settled, so that answers that are ready go out in one write. */
  #flushSoon(): void {
    if (this.#isFlushing) return;
    this.#isFlushing = true;
    queueMicrotask(() => {
      this.#isFlushing = false;
      this.#flush();
    });
  }

  #flush(): void {
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
      count++;
    }
    if (count > 0) {
      this.#turns.splice(0, count);
      if (text !== '' && !this.#socket.destroyed) this.#socket.write(text);
    }
    if (this.#isEnding && this.#turns.length === 0) this.#socket.end();
    else if (wasFull && !this.#isFull()) this.#read();
  }
}
