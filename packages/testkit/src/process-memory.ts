import { readFile } from 'node:fs/promises';

/** What a process and its threads hold, in bytes, from the kernel's own books. */
export interface ProcessMemory {
  /** Private and shared memory behind no file: heaps, stacks, caches of our own. */
  readonly anonymous: number;
  readonly rss: number;
}

/** Reads `/proc/<pid>/smaps_rollup`. */
export async function processMemory(pid: number): Promise<ProcessMemory> {
  const text = await readFile(`/proc/${pid}/smaps_rollup`, 'utf8');
  const bytes = (name: string) => {
    const match = new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(text);
    if (match?.[1] === undefined) throw new Error(`smaps_rollup has no ${name}`);
    return Number(match[1]) * 1024;
  };
  return { anonymous: bytes('Anonymous'), rss: bytes('Rss') };
}

export const MIB = 1024 * 1024;
