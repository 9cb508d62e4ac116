/** The thread that prepares large bodies. It keeps nothing between two of them. */
import { parentPort } from 'node:worker_threads';
import { toMemplaneError, toProblem } from '@memplane/runtime/problem';
import { v7 as uuidv7 } from 'uuid';
import { prepareBody } from '../domain/prepare-body.ts';
import type { PrepareReply, PrepareRequest } from './protocol.ts';

parentPort?.on('message', ({ ref, bytes, order }: PrepareRequest) => {
  const body = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  try {
    const packed = prepareBody(body, order, uuidv7);
    const { buffer } = packed.values;
    // What is no larger may be the pool of small buffers, which must stay here.
    const isOwn = buffer.byteLength > Buffer.poolSize;
    reply({ ref, packed }, isOwn ? [buffer, packed.ends.buffer] : []);
  } catch (error) {
    reply({ ref, problem: toProblem(toMemplaneError(error)) });
  }
});

function reply(message: PrepareReply, transfer: ArrayBuffer[] = []): void {
  parentPort?.postMessage(message, transfer);
}
