import { PLANE_VERSION } from '@memplane/contracts';
import { TokenCheck } from '@memplane/runtime';
import type { Engine } from '../domain/engine.ts';
import { commandReply } from './command-table.ts';
import * as write from './writer.ts';

export interface SessionOptions {
  readonly engine: Engine;
  readonly replicaId: string;
  /** What callers prove themselves by; undefined: nobody is asked. */
  readonly token: string | undefined;
  /** What CONFIG GET appendfsync answers. */
  readonly appendfsync: () => string;
}

/** Ids of connections, as `CLIENT ID` tells them: never the same twice in a process. */
let lastId = 0;

const NO_CLUSTER = write.failure('ERR This instance has cluster support disabled');

/**
 * What a connection is asked about itself: the protocol, who calls, and what clients want to know
 * when they connect. The answers are Redis's own as far as they are true here.
 */
export class Session {
  version: write.RespVersion = 2;
  isAllowed: boolean;
  isQuitting = false;
  readonly #id = ++lastId;
  readonly #options: SessionOptions;
  readonly #check: TokenCheck | undefined;
  #name = '';

  constructor(options: SessionOptions) {
    this.#options = options;
    this.#check = options.token ? new TokenCheck(options.token) : undefined;
    this.isAllowed = this.#check === undefined;
  }

  /** @returns undefined for a command that is not about the connection */
  answer(words: readonly string[]): string | undefined {
    const name = (words[0] ?? '').toUpperCase();
    if (name === 'AUTH') return this.#authenticate(words.at(-1) ?? '', words.length);
    if (name === 'HELLO') return this.#hello(words);
    if (name === 'QUIT') {
      this.isQuitting = true;
      return write.simple('OK');
    }
    if (!this.isAllowed) return write.failure('NOAUTH Authentication required.');
    switch (name) {
      case 'PING':
        if (words.length > 2) return write.wrongArguments(name);
        return words[1] === undefined ? write.simple('PONG') : write.bulk(words[1]);
      case 'ECHO':
        return words.length === 2 ? write.bulk(words[1] ?? '') : write.wrongArguments(name);
      case 'SELECT':
        return words[1] === '0'
          ? write.simple('OK')
          : write.failure('ERR there is only database 0');
      case 'CLIENT':
        return this.#client(words);
      case 'COMMAND':
        return commandReply(this.version, words);
      case 'CONFIG':
        return this.#config(words);
      case 'INFO':
        return write.bulk(this.#info());
      case 'READONLY':
      case 'READWRITE':
      case 'CLUSTER':
        return NO_CLUSTER;
      default:
        return undefined;
    }
  }

  #authenticate(token: string, words: number): string {
    if (words < 2 || words > 3) return write.wrongArguments('auth');
    if (this.#check === undefined) {
      return write.failure('ERR AUTH was called, but no token is set on this plane');
    }
    if (!this.#check.matches(token)) {
      return write.failure('WRONGPASS invalid username-password pair or user is disabled.');
    }
    this.isAllowed = true;
    return write.simple('OK');
  }

  #hello(words: readonly string[]): string {
    const asked = words[1];
    if (asked !== undefined && asked !== '2' && asked !== '3') {
      return write.failure('NOPROTO unsupported protocol version');
    }
    for (let at = 2; at < words.length; ) {
      const option = words[at]?.toUpperCase();
      if (option === 'AUTH' && at + 2 < words.length) {
        const reply = this.#authenticate(words[at + 2] ?? '', 3);
        if (!reply.startsWith('+')) return reply;
        at += 3;
      } else if (option === 'SETNAME' && at + 1 < words.length) {
        const reply = this.#setName(words[at + 1] ?? '');
        if (!reply.startsWith('+')) return reply;
        at += 2;
      } else {
        return write.failure(`ERR Syntax error in HELLO option '${option?.slice(0, 128)}'`);
      }
    }
    if (!this.isAllowed) return write.failure('NOAUTH Authentication required.');
    if (asked !== undefined) this.version = asked === '3' ? 3 : 2;
    return write.map(this.version, [
      [write.bulk('server'), write.bulk('memplane')],
      [write.bulk('version'), write.bulk(PLANE_VERSION)],
      [write.bulk('proto'), write.integerReply(this.version)],
      [write.bulk('id'), write.integerReply(this.#id)],
      [write.bulk('mode'), write.bulk('standalone')],
      [write.bulk('role'), write.bulk('master')],
      [write.bulk('modules'), write.array([])],
    ]);
  }

  /**
   * What a client must not be told in vain is refused: with `REPLY OFF` or `TRACKING` answered OK,
   * one would wait for answers that come, or not for messages that don't.
   */
  #client(words: readonly string[]): string {
    const [, subcommand = '', argument] = words;
    switch (subcommand.toUpperCase()) {
      case '':
        return write.wrongArguments('client');
      case 'ID':
        return write.integerReply(this.#id);
      case 'GETNAME':
        return this.#name === '' ? write.nothing(this.version) : write.bulk(this.#name);
      case 'SETNAME':
        return this.#setName(argument ?? '');
      case 'INFO':
        return write.bulk(`id=${this.#id} name=${this.#name} db=0 resp=${this.version}\n`);
      case 'SETINFO':
      case 'NO-EVICT':
      case 'NO-TOUCH':
        return write.simple('OK');
      default:
        return write.unknownSubcommand(words);
    }
  }

  #setName(name: string): string {
    if (!/^[!-~]{0,128}$/.test(name)) {
      return write.failure(
        'ERR Client names cannot contain spaces, newlines or special characters.',
      );
    }
    this.#name = name;
    return write.simple('OK');
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
    if (known === undefined) return write.map(this.version, []);
    return write.map(this.version, [[write.bulk(name), write.bulk(known)]]);
  }

  #info(): string {
    const { engine, replicaId } = this.#options;
    const { commits, committedCommands, failedCommits } = engine.stats;
    return [
      '# Server',
      `memplane_version:${PLANE_VERSION}`,
      'redis_mode:standalone',
      `replica:${replicaId}`,
      `incarnation:${engine.incarnation}`,
      '# Persistence',
      'loading:0',
      '# Replication',
      'role:master',
      '# Stats',
      `commits:${commits}`,
      `commands_committed:${committedCommands}`,
      `commits_failed:${failedCommits}`,
      '',
    ].join('\r\n');
  }
}
