import { closeSync, fstatSync, openSync, readSync } from 'node:fs';

const BYTES_PER_LINE_MAX = 400;

/** The end of a log file, or a word on why there is none. */
export function lastLines(file: string, linesMax: number): string {
  let handle: number;
  try {
    handle = openSync(file, 'r');
  } catch {
    return `(no log at ${file})`;
  }
  try {
    const { size } = fstatSync(handle);
    const length = Math.min(size, linesMax * BYTES_PER_LINE_MAX);
    const bytes = Buffer.alloc(length);
    readSync(handle, bytes, 0, length, size - length);
    return bytes.toString('utf8').trimEnd().split('\n').slice(-linesMax).join('\n');
  } finally {
    closeSync(handle);
  }
}
