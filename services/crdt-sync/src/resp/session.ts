import { PLANE_VERSION } from '@memplane/contracts';
import { type Access, type AuditTrail, toMemplaneError } from '@memplane/runtime';
import type { Engine } from '../domain/engine.ts';
import { commandReply } from './command-table.ts';
import { errorReply } from './commands.ts';
import { RespAudit } from './resp-audit.ts';
import { RespCaller } from './resp-caller.ts';
import * as write from './writer.ts';

export interface SessionOptions {
  readonly engine: Engine;
  readonly replicaId: string;
  /** Who has which token. */
  readonly access: Access;
  /** Where refused commands, or all, are recorded. */
  readonly audit?: () => AuditTrail | undefined;
  /** The plane's one token; undefined, and no tenants: nobody is asked. */
  readonly token: string | undefined;
  /** What CONFIG GET appendfsync answers. */
  readonly appendfsync: () => string;
}

/** Ids of connections, as `CLIENT ID` tells them: never the same twice in a process. */
let lastId = 0;

const NO_AUTH = write.failure('NOAUTH Authentication required.');
const NO_CLUSTER = write.failure('ERR This instance has cluster support disabled');

/**
 * What a connection is asked about itself: the protocol, who calls, and what clients want to know
 * when they connect. The answers are Redis's own as far as they are true here.
 */
export class Session {
  version: write.RespVersion = 2;
  isQuitting = false;
  readonly caller: RespCaller;
  readonly audit: RespAudit;
  readonly #id = ++lastId;
  readonly #options: SessionOptions;
  readonly #needsToken: boolean;
  #name = '';

  /** @param address of the peer */
  constructor(options: SessionOptions, address: string | undefined) {
    this.#options = options;
    this.audit = new RespAudit(options.audit ?? (() => undefined), address);
    this.#needsToken = options.access.hasTenants || Boolean(options.token);
    this.caller = new RespCaller(options.access, this.#needsToken);
  }

  /**
   * @returns undefined for a command that is not about the connection; a promise, which never
   * rejects, where a token has to be verified first: nothing else may be answered before
   */
  answer(words: readonly string[]): string | Promise<string> | undefined {
    const name = (words[0] ?? '').toUpperCase();
    if (name === 'AUTH') {
      if (words.length < 2 || words.length > 3) return write.wrongArguments('auth');
      return this.#authenticate(words.at(-1) ?? '', () => write.simple('OK'));
    }
    if (name === 'HELLO') return this.#hello(words);
    if (name === 'QUIT') {
      this.isQuitting = true;
      return write.simple('OK');
    }
    if (!this.caller.isAllowed) return this.#noAuth(name);
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
        return name.startsWith('CRDT.') ? this.#permission(name, words[1] ?? '') : undefined;
    }
  }

  /** @returns undefined for what the caller may do */
  #permission(name: string, key: string): string | undefined {
    const { identity } = this.caller;
    if (this.caller.may(name)) {
      this.audit.allowed(identity, name, key);
      return undefined;
    }
    this.audit.refused(identity, name, key, 'forbidden');
    return notPermitted(name);
  }

  #noAuth(name: string): string {
    this.audit.refused(undefined, name, undefined, 'unauthorized');
    return NO_AUTH;
  }

  #authenticate(token: string, welcome: () => string): string | Promise<string> {
    if (!this.#needsToken) {
      return write.failure('ERR AUTH was called, but no token is set on this plane');
    }
    try {
      const verifying = this.caller.authenticate(token);
      if (verifying === undefined) return welcome();
      return verifying.then(welcome, (error: unknown) => this.#refusal(error));
    } catch (error) {
      return this.#refusal(error);
    }
  }

  #hello(words: readonly string[]): string | Promise<string> {
    const asked = words[1];
    if (asked !== undefined && asked !== '2' && asked !== '3') {
      return write.failure('NOPROTO unsupported protocol version');
    }
    let token: string | undefined;
    for (let at = 2; at < words.length; ) {
      const option = words[at]?.toUpperCase();
      if (option === 'AUTH' && at + 2 < words.length) {
        token = words[at + 2] ?? '';
        at += 3;
      } else if (option === 'SETNAME' && at + 1 < words.length) {
        const reply = this.#setName(words[at + 1] ?? '');
        if (!reply.startsWith('+')) return reply;
        at += 2;
      } else {
        return write.failure(`ERR Syntax error in HELLO option '${option?.slice(0, 128)}'`);
      }
    }
    const welcome = () => this.#welcome(asked);
    if (token !== undefined) return this.#authenticate(token, welcome);
    return this.caller.isAllowed ? welcome() : this.#noAuth('HELLO');
  }

  #refusal(thrown: unknown): string {
    const error = toMemplaneError(thrown);
    if (error.code !== 'unauthorized') return errorReply(error);
    this.audit.refused(undefined, 'AUTH', undefined, 'unauthorized');
    return write.failure('WRONGPASS invalid username-password pair or user is disabled.');
  }

  #welcome(asked: string | undefined): string {
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
    // The rest says how much others do.
    if (!this.caller.seesPlane) return `# Server\r\nmemplane_version:${PLANE_VERSION}\r\n`;
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

function notPermitted(command: string): string {
  const name = command.toLowerCase().slice(0, 128);
  return write.failure(`NOPERM this token may not run the '${name}' command`);
}
