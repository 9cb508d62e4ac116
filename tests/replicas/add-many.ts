import { once } from 'node:events';
import { connect } from 'node:net';

export interface HostAndPort {
  readonly host: string;
  readonly port: number;
}

const ELEMENTS_PER_COMMAND = 1_000;
const TIMEOUT_MS = 120_000;

/** Adds elements to a set over RESP, many a command. All are durable when it resolves. */
export async function addMany(
  address: HostAndPort,
  set: string,
  elements: readonly string[],
): Promise<void> {
  const socket = connect({ ...address, noDelay: true });
  socket.setTimeout(TIMEOUT_MS, () => socket.destroy(new Error('no answer in time')));
  await once(socket, 'connect');
  let answers = '';
  let commands = 0;
  for (let at = 0; at < elements.length; at += ELEMENTS_PER_COMMAND) {
    const words = ['CRDT.SADD', set, ...elements.slice(at, at + ELEMENTS_PER_COMMAND)];
    socket.write(`*${words.length}\r\n${words.map(bulk).join('')}`);
    commands++;
  }
  for await (const chunk of socket) {
    answers += String(chunk);
    if (answers.split('\r\n').length > commands) break;
  }
  socket.destroy();
  const failed = answers.split('\r\n').filter((line) => line !== '' && !line.startsWith(':'));
  if (failed.length > 0) throw new Error(`${set}: ${failed[0]}`);
}

function bulk(word: string): string {
  return `$${Buffer.byteLength(word)}\r\n${word}\r\n`;
}
