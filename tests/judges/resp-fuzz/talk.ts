import { connect, type Socket } from 'node:net';
import { setImmediate as turn } from 'node:timers/promises';

const TICK_MS = 50;

/**
 * Calls back after so long of this process's own time: where the machine gives it none, as a busy
 * one does, nothing can be said of a server that got none either.
 * @returns how to end it
 */
export function afterOwnTime(ms: number, done: () => void): () => void {
  let left = Math.ceil(ms / TICK_MS);
  const timer = setInterval(() => {
    left--;
    if (left > 0) return;
    clearInterval(timer);
    done();
  }, TICK_MS);
  return () => clearInterval(timer);
}

export interface Heard {
  readonly bytes: Buffer;
  /** How the connection ended. */
  readonly end: 'closed' | 'reset' | 'hangs';
}

/** Sends all packets, says that no more will come, and listens until the server closes. */
export async function talk(
  port: number,
  packets: readonly Buffer[],
  deadlineMs: number,
): Promise<Heard> {
  const socket = await open(port);
  const parts: Buffer[] = [];
  socket.on('data', (part) => parts.push(part));
  const ended = new Promise<Heard['end']>((resolve) => {
    const stop = afterOwnTime(deadlineMs, () => resolve('hangs'));
    socket.once('error', () => resolve('reset'));
    socket.once('end', () => resolve('closed'));
    socket.once('close', () => {
      stop();
      resolve('closed');
    });
  });
  for (const packet of packets) {
    if (socket.destroyed) break;
    socket.write(packet);
    await turn();
  }
  socket.end();
  const end = await ended;
  socket.destroy();
  return { bytes: Buffer.concat(parts), end };
}

export async function open(port: number): Promise<Socket> {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve);
    socket.once('error', reject);
  });
  socket.setNoDelay(true);
  return socket;
}

export function packetsOf(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const packets: Buffer[] = [];
  let from = 0;
  for (const to of [...cuts, bytes.length]) {
    if (to > from) packets.push(bytes.subarray(from, to));
    from = Math.max(from, to);
  }
  return packets;
}
