import { randomUUID } from 'node:crypto';
import {
  closeSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import path from 'node:path';
import { ConfigError } from '../config.ts';
import type { CallRecord } from './call-record.ts';

/** A file that is so long is closed, and the next one begun. */
const FILE_BYTES_MAX = 1024 * 1024;
const EXTENSION = '.ndjson';

/**
 * Records that wait for the log, in files: what a process has written before it was killed, the
 * next one finds. Written at once, into the system's memory; only a power failure loses some.
 */
export class AuditSpool {
  readonly #dir: string;
  readonly #bytesMax: number;
  #file: { readonly name: string; readonly descriptor: number; bytes: number } | undefined;
  /** Those that are written to no more, oldest first, with their bytes. */
  readonly #closed = new Map<string, number>();
  #closedBytes = 0;

  /** @throws ConfigError where the folder can not be written */
  constructor(dir: string, bytesMax: number) {
    this.#dir = dir;
    this.#bytesMax = bytesMax;
    try {
      mkdirSync(dir, { recursive: true, mode: 0o700 });
      const names = readdirSync(dir).filter((name) => name.endsWith(EXTENSION));
      for (const name of names.sort()) this.#keep(name, statSync(path.join(dir, name)).size);
      // Tried now: the first refusal would be too late to tell.
      this.#open();
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause);
      throw new ConfigError(`MEMPLANE_AUDIT_DIR=${dir} can not be written: ${why}`, { cause });
    }
  }

  /** All that waits. */
  get bytes(): number {
    return this.#closedBytes + (this.#file?.bytes ?? 0);
  }

  /** @returns whether there was room for it */
  append(record: CallRecord): boolean {
    const line = Buffer.from(`${JSON.stringify(record)}\n`);
    if (this.bytes + line.length > this.#bytesMax) return false;
    const file = this.#file ?? this.#open();
    let written = 0;
    try {
      written = writeSync(file.descriptor, line);
    } finally {
      file.bytes += written;
      // After a part of a line no other may follow.
      if (written < line.length || file.bytes >= FILE_BYTES_MAX) this.rotate();
    }
    return written === line.length;
  }

  /** Closes the file that is written to, unless it is empty. @returns all that are closed */
  rotate(): string[] {
    const file = this.#file;
    if (file !== undefined && file.bytes > 0) {
      closeSync(file.descriptor);
      this.#file = undefined;
      this.#keep(file.name, file.bytes);
    }
    return [...this.#closed.keys()];
  }

  /** Its records; a last line that was not written to its end is left out. */
  *read(name: string): Generator<CallRecord> {
    const lines = readFileSync(path.join(this.#dir, name), 'utf8').split('\n');
    for (const line of lines.slice(0, -1)) yield JSON.parse(line) as CallRecord;
  }

  remove(name: string): void {
    rmSync(path.join(this.#dir, name), { force: true });
    this.#closedBytes -= this.#closed.get(name) ?? 0;
    this.#closed.delete(name);
  }

  close(): void {
    if (this.#file === undefined) return;
    closeSync(this.#file.descriptor);
    if (this.#file.bytes === 0) rmSync(path.join(this.#dir, this.#file.name), { force: true });
    this.#file = undefined;
  }

  #open() {
    // The time first, so that their names are in order.
    const name = `${Date.now()}-${randomUUID()}${EXTENSION}`;
    const descriptor = openSync(path.join(this.#dir, name), 'ax', 0o600);
    this.#file = { name, descriptor, bytes: 0 };
    return this.#file;
  }

  #keep(name: string, bytes: number): void {
    this.#closed.set(name, bytes);
    this.#closedBytes += bytes;
  }
}
