import { createHash } from 'node:crypto';
import { createServer, type Server } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

const WAIT_MS_MAX = 45 * 60_000;
const POLL_MS = 200;

/**
 * Runs `work` while no other process on this machine runs one for the same name. The lock is a
 * socket in Linux's abstract name space: the kernel frees it when its holder ends, however it
 * ends, so that there is no stale lock to judge.
 *
 * @throws Error after waiting for 45 minutes
 */
export async function withBuildLock<T>(
  name: string,
  onWait: () => void,
  work: () => Promise<T>,
): Promise<T> {
  const digest = createHash('sha256').update(name).digest('hex').slice(0, 32);
  const address = `\0memplane-build-${digest}`;
  const deadline = performance.now() + WAIT_MS_MAX;
  let held = await take(address);
  if (!held) onWait();
  while (!held) {
    if (performance.now() > deadline)
      throw new Error(`the build of ${name} is locked for too long`);
    await sleep(POLL_MS);
    held = await take(address);
  }
  const lock = held;
  try {
    return await work();
  } finally {
    await new Promise((resolve) => lock.close(resolve));
  }
}

function take(path: string): Promise<Server | undefined> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => socket.destroy());
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE') resolve(undefined);
      else reject(error);
    });
    server.listen({ path }, () => resolve(server));
  });
}
