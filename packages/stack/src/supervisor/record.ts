import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Tier } from '../server/plan.ts';

/** One server that this stack started, and how to know it again. */
export interface RunningServer {
  readonly name: string;
  readonly version: string;
  readonly tier: Tier;
  readonly pid: number;
  /** Ticks since boot at its start: a pid that is taken again has another number here. */
  readonly startTicks: number;
  readonly ports: readonly number[];
  readonly logFile: string;
  readonly stopTimeoutMs: number;
}

interface RecordFile {
  readonly formatVersion: 1;
  readonly servers: readonly RunningServer[];
}

const FORMAT_VERSION = 1;
const FILE = 'running.json';

/** What was started and not ended by us; some of it may be gone. In the order of its start. */
export function readRecord(dir: string): RunningServer[] {
  let text: string;
  try {
    text = readFileSync(join(dir, FILE), 'utf8');
  } catch {
    return [];
  }
  const record: RecordFile = JSON.parse(text);
  if (record.formatVersion !== FORMAT_VERSION) {
    throw new Error(`${join(dir, FILE)} has format ${record.formatVersion}, not ${FORMAT_VERSION}`);
  }
  return [...record.servers];
}

export function writeRecord(dir: string, servers: readonly RunningServer[]): void {
  const path = join(dir, FILE);
  if (servers.length === 0) {
    rmSync(path, { force: true });
    return;
  }
  mkdirSync(dir, { recursive: true });
  const record: RecordFile = { formatVersion: FORMAT_VERSION, servers };
  writeFileSync(`${path}.new`, `${JSON.stringify(record, undefined, 2)}\n`, { mode: 0o600 });
  renameSync(`${path}.new`, path);
}

/** When the process started, in ticks since boot; undefined when there is none, or only its ashes. */
export function startTicksOf(pid: number): number | undefined {
  try {
    return startTicksIn(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return undefined;
  }
}

/**
 * The same from the text of `/proc/PID/stat`. A process whose first thread is dead is there as long as
 * others are: until the last has ended, its ports and files may still be open.
 */
export function startTicksIn(stat: string): number | undefined {
  // The name in parentheses may hold anything; what follows it is fields by number.
  const [state, ...fields] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const threads = Number(fields[16]);
  const isDead = (state === 'Z' || state === 'X') && threads <= 1;
  return isDead ? undefined : Number(fields[18]);
}

export function isAlive(server: Pick<RunningServer, 'pid' | 'startTicks'>): boolean {
  return startTicksOf(server.pid) === server.startTicks;
}

/** Resident memory in MiB. */
export function memoryMibOf(pid: number): number {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    return Math.round(Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? 0) / 1024);
  } catch {
    return 0;
  }
}
