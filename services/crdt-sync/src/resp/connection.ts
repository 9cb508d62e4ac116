import type { Socket } from 'node:net';
import { DEFAULT_TENANT, MemplaneError } from '@memplane/contracts';
import { TokenCheck } from '@memplane/runtime';
import type { Command } from '../domain/command.ts';
import type { Engine } from '../domain/engine.ts';
import type { CrdtStore } from '../domain/port.ts';
import { errorReply, planCommand } from './commands.ts';
import { RespParser, RespProtocolError } from './parser.ts';
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
}

/** An answer in its turn; undefined until it is known. */
interface Turn {
  reply: string | undefined;
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
  readonly #timer: NodeJS.Timeout | undefined;
  #version: write.RespVersion = 2;
  #isAllowed: boolean;
  #isEnding = false;
  #isFlushing = false;

  constructor(socket: Socket, options: ConnectionOptions) {
    this.#socket = socket;
    this.#options = options;
    this.#check = options.token ? new TokenCheck(options.token) : undefined;
    this.#isAllowed = this.#check === undefined;
    this.#parser = new RespParser(options.resp_command_bytes_max);
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
      while (!this.#isEnding && !this.#isFull()) {
        const words = this.#parser.next();
        if (words === undefined) break;
        this.#take(words);
      }
    } catch (error) {
      if (!(error instanceof RespProtocolError)) throw error;
      this.#turns.push({ reply: write.failure(`ERR ${error.message}`) });
      this.#isEnding = true;
    }
    if (this.#isFull()) this.#socket.pause();
    else this.#socket.resume();
    this.#flushSoon();
  }

  #isFull(): boolean {
    const { resp_pipeline_commands_max, resp_output_bytes_max } = this.#options;
    return (
      this.#turns.length >= resp_pipeline_commands_max ||
      this.#socket.writableLength > resp_output_bytes_max
    );
  }

  #take(words: readonly string[]): void {
    const turn: Turn = { reply: undefined };
    this.#turns.push(turn);
    const own = this.#answer(words);
    if (own !== undefined) {
      turn.reply = own;
      return;
    }
    const { engine, store, set_elements_max } = this.#options;
    let render: (command: Command) => string = () => '';
    const settled = (command: Command) => {
      turn.reply = command.error ? errorReply(command.error) : render(command);
      this.#flushSoon();
    };
    const version = this.#version;
    const context = { tenant: DEFAULT_TENANT, version, store, set_elements_max, settled };
    const planned = planCommand(words, context);
    if (planned === undefined) {
      const name = (words[0] ?? '').slice(0, 128);
      turn.reply = write.failure(`ERR unknown command '${name}'`);
    } else if ('reply' in planned) {
      turn.reply = planned.reply;
    } else {
      render = planned.render;
      try {
        engine.submit(planned.command);
      } catch (error) {
        if (!(error instanceof MemplaneError)) throw error;
        turn.reply = errorReply(error);
      }
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
      case 'CONFIG':
        return write.array([]);
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
      [write.bulk('version'), write.bulk('0.1.0')],
      [write.bulk('proto'), write.integerReply(this.#version)],
      [write.bulk('mode'), write.bulk('standalone')],
      [write.bulk('role'), write.bulk('master')],
      [write.bulk('modules'), write.array([])],
    ]);
  }

  #info(): string {
    const { engine, replicaId } = this.#options;
    const { commits, committedCommands, failedCommits } = engine.stats;
    return [
      '# Server',
      'memplane_version:0.1.0',
      `replica:${replicaId}`,
      `incarnation:${engine.incarnation}`,
      '# Stats',
      `commits:${commits}`,
      `commands_committed:${committedCommands}`,
      `commits_failed:${failedCommits}`,
      '',
    ].join('\r\n');
  }

  /** Once a turn, so that all answers that are ready go out in one write. */
  #flushSoon(): void {
    if (this.#isFlushing) return;
    this.#isFlushing = true;
    setImmediate(() => {
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
      text += turn.reply;
      count++;
    }
    if (count > 0) {
      this.#turns.splice(0, count);
      if (!this.#socket.destroyed) this.#socket.write(text);
    }
    if (this.#isEnding && this.#turns.length === 0) this.#socket.end();
    else if (wasFull && !this.#isFull()) this.#read();
  }
}
