import { connect } from 'node:net';

const TIMEOUT_MS = 3_000;
const METADATA = 3;
const METADATA_VERSION = 1;
const CORRELATION = 0x4d50;

/**
 * Asks a broker for the metadata of no topic, which it answers with the brokers that are up. An
 * open port alone says little: a broker listens well before its controller has let it in.
 *
 * @throws Error when it does not answer, or names no broker yet
 */
export async function checkKafka(port: number): Promise<void> {
  const answer = await ask(port, metadataRequest());
  const correlation = answer.readInt32BE(4);
  if (correlation !== CORRELATION) throw new Error(`port ${port} does not speak Kafka's protocol`);
  if (answer.readInt32BE(8) < 1) throw new Error('no broker is registered yet');
}

function metadataRequest(): Buffer {
  const client = Buffer.from('memplane-check');
  const request = Buffer.alloc(4 + 2 + 2 + 4 + 2 + client.length + 4);
  let at = request.writeInt32BE(request.length - 4, 0);
  at = request.writeInt16BE(METADATA, at);
  at = request.writeInt16BE(METADATA_VERSION, at);
  at = request.writeInt32BE(CORRELATION, at);
  at = request.writeInt16BE(client.length, at);
  at += client.copy(request, at);
  request.writeInt32BE(0, at);
  return request;
}

function ask(port: number, request: Buffer): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1', timeout: TIMEOUT_MS });
    let answer = Buffer.alloc(0);
    socket.once('connect', () => socket.write(request));
    socket.on('data', (part) => {
      answer = Buffer.concat([answer, part]);
      if (answer.length < 12 || answer.length < 4 + answer.readInt32BE(0)) return;
      socket.destroy();
      resolve(answer);
    });
    socket.once('timeout', () => socket.destroy(new Error(`port ${port} does not answer`)));
    socket.once('error', reject);
    socket.once('close', () => reject(new Error(`port ${port} closed the connection`)));
  });
}
