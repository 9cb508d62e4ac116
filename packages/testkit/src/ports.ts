import { createServer } from 'node:net';

/**
 * Below the range that the kernel takes for outgoing connections, so that none is taken between, and
 * below those that whole stacks get.
 */
const LOW = 10_000;
const HIGH = 20_000;
const TRIES_MAX = 200;
/** The one above 10,000 that `fetch` refuses to call, as the standard says ("bad ports"). */
const BLOCKED = 10_080;
const given = new Set<number>();

/** Ports that were free a moment ago and that this process has not given out before. */
export async function freePorts(count: number): Promise<number[]> {
  const ports: number[] = [];
  for (let tries = 0; ports.length < count; tries++) {
    if (tries > TRIES_MAX) throw new Error('found no free ports');
    const port = LOW + Math.floor(Math.random() * (HIGH - LOW));
    if (port === BLOCKED || given.has(port) || !(await isFree(port))) continue;
    given.add(port);
    ports.push(port);
  }
  return ports;
}

/** Those of the ports that something listens on. */
export async function takenPorts(ports: readonly number[]): Promise<number[]> {
  const free = await Promise.all(ports.map(isFree));
  return ports.filter((_, index) => !free[index]);
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    // Whoever comes meanwhile, as a sidecar does that awaits its application, must not hold it open.
    const server = createServer((socket) => socket.destroy());
    server.once('error', () => resolve(false));
    server.listen({ port, host: '127.0.0.1', exclusive: true }, () => {
      server.close(() => resolve(true));
    });
  });
}

const STACK_PORTS = 200;
const STACKS = 50;

/** The lowest of 200 free ports in a row, below the range that the kernel takes for connections. */
export async function freePortBase(): Promise<number> {
  for (let tries = 0; tries < TRIES_MAX; tries++) {
    const base = HIGH + STACK_PORTS * Math.floor(Math.random() * STACKS);
    const ports = Array.from({ length: STACK_PORTS }, (_, i) => base + i);
    if ((await takenPorts(ports)).length === 0) return base;
  }
  throw new Error(`found no ${STACK_PORTS} free ports in a row`);
}
