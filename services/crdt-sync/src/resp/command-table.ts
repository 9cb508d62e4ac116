import * as write from './writer.ts';

/** A command as clients ask about it. */
interface Described {
  /** Words with the name; at least so many where it is negative. */
  readonly arity: number;
  readonly flags: readonly string[];
  /** Whether its first argument is a key. */
  readonly hasKey: boolean;
  readonly summary: string;
}

const crdt = (arity: number, kind: 'write' | 'readonly', summary: string): Described => {
  return { arity, flags: [kind, 'fast'], hasKey: true, summary };
};
const own = (arity: number, summary: string): Described => {
  return { arity, flags: ['loading', 'stale', 'fast'], hasKey: false, summary };
};

const COMMANDS: ReadonlyMap<string, Described> = new Map([
  ['crdt.incr', crdt(-3, 'write', 'Adds to a counter: key n [OPID id]')],
  ['crdt.decr', crdt(-3, 'write', 'Takes from a counter: key n [OPID id]')],
  ['crdt.get', crdt(2, 'readonly', 'Value of a counter: key')],
  ['crdt.sadd', crdt(-3, 'write', 'Adds elements to a set: key element …')],
  ['crdt.srem', crdt(-3, 'write', 'Removes elements from a set: key element …')],
  ['crdt.smembers', crdt(2, 'readonly', 'Elements of a set: key')],
  ['crdt.sismember', crdt(3, 'readonly', 'Whether a set has an element: key element')],
  ['crdt.set', crdt(3, 'write', 'Writes a register: key text')],
  ['crdt.read', crdt(2, 'readonly', 'Text of a register: key')],
  ['crdt.del', crdt(2, 'write', 'Resets what is known of a key: key')],
  ['crdt.token', own(1, 'Token of all that reads may have shown')],
  ['crdt.after', own(2, 'Waits for what a token stands for: token')],
  ['crdt.members', own(1, 'Replicas, as this one sees them')],
  ['auth', own(-2, 'Proves who calls: [user] token')],
  ['client', own(-2, 'Facts about this connection: ID, INFO, SETNAME name …')],
  ['command', own(-1, 'This list: [COUNT | DOCS | INFO | LIST]')],
  ['config', own(-2, 'Settings: GET name')],
  ['echo', own(2, 'The same text')],
  ['hello', own(-1, 'Chooses the protocol: [2 | 3 [AUTH user token] [SETNAME name]]')],
  ['info', own(-1, 'Facts about the server')],
  ['ping', own(-1, 'PONG, or the text')],
  ['quit', own(-1, 'Ends the connection')],
  ['select', own(2, 'Database 0, the only one')],
]);

/** The answer to `COMMAND`, which clients ask to learn where keys are, and shells for help. */
export function commandReply(version: write.RespVersion, words: readonly string[]): string {
  const [, subcommand = '', ...asked] = words;
  const names = asked.length > 0 ? asked.map((name) => name.toLowerCase()) : [...COMMANDS.keys()];
  switch (subcommand.toUpperCase()) {
    case '':
    case 'INFO':
      return write.array(names.map((name) => entryOf(version, name)));
    case 'COUNT':
      return write.integerReply(COMMANDS.size);
    case 'LIST':
      return write.array([...COMMANDS.keys()].map(write.bulk));
    case 'DOCS':
      return write.map(
        version,
        names.filter((name) => COMMANDS.has(name)).map((name) => docsOf(version, name)),
      );
    default:
      return write.unknownSubcommand(words);
  }
}

function entryOf(version: write.RespVersion, name: string): string {
  const known = COMMANDS.get(name);
  if (known === undefined) return write.nothing(version);
  const { arity, flags, hasKey } = known;
  const keys = (hasKey ? [1, 1, 1] : [0, 0, 0]).map(write.integerReply);
  const shown = write.array(flags.map(write.simple));
  return write.array([write.bulk(name), write.integerReply(arity), shown, ...keys]);
}

function docsOf(version: write.RespVersion, name: string): readonly [string, string] {
  const { summary, hasKey } = COMMANDS.get(name) ?? own(1, '');
  const docs: [string, string][] = [
    [write.bulk('summary'), write.bulk(summary)],
    [write.bulk('group'), write.bulk(hasKey ? 'generic' : 'connection')],
  ];
  return [write.bulk(name), write.map(version, docs)];
}
