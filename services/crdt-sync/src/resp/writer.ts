/** Answers in RESP2, or in RESP3 once the peer has asked for it by `HELLO 3`. */
export type RespVersion = 2 | 3;

export const simple = (text: string): string => `+${text}\r\n`;
export const integerReply = (value: number): string => `:${value}\r\n`;
export const bulk = (text: string): string => `$${Buffer.byteLength(text)}\r\n${text}\r\n`;
export const bulkBytes = (bytes: Buffer): Buffer =>
  Buffer.concat([Buffer.from(`$${bytes.length}\r\n`), bytes, Buffer.from('\r\n')]);
export const array = (items: readonly string[]): string => `*${items.length}\r\n${items.join('')}`;

export const nothing = (version: RespVersion): string => (version === 3 ? '_\r\n' : '$-1\r\n');

/** Line ends would begin another answer. */
export const failure = (text: string): string => `-${text.replaceAll(/[\r\n]+/g, ' ')}\r\n`;

/** Names and values in turn; a map in RESP3. */
export function map(version: RespVersion, entries: readonly (readonly [string, string])[]): string {
  const items = entries.flat().join('');
  return version === 3 ? `%${entries.length}\r\n${items}` : `*${entries.length * 2}\r\n${items}`;
}

/** A set in RESP3. */
export function setReply(version: RespVersion, elements: readonly string[]): string {
  const sign = version === 3 ? '~' : '*';
  return `${sign}${elements.length}\r\n${elements.map(bulk).join('')}`;
}

export function unknownSubcommand(words: readonly string[]): string {
  const [name = '', subcommand = ''] = words.map((word) => word.slice(0, 128));
  return failure(`ERR unknown subcommand '${subcommand}' of ${name.toUpperCase()}`);
}

export function wrongArguments(name: string): string {
  return failure(`ERR wrong number of arguments for '${name.toLowerCase()}' command`);
}
