import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { MemplaneError } from '@memplane/contracts';
import { toStorageError } from './embedded/errors.ts';

/** Exclusive ownership of a folder, until it is released or the process ends in whatever way. */
export interface DirectoryLock {
  readonly dir: string;
  release(): void;
}

const SQLITE_BUSY = 5;

function sqliteCode(error: unknown): number | undefined {
  return error instanceof Error && 'errcode' in error && typeof error.errcode === 'number'
    ? error.errcode & 0xff
    : undefined;
}

function holderOf(file: string): number | undefined {
  try {
    const pid = Number(readFileSync(file, 'utf8'));
    return Number.isInteger(pid) && pid > 0 ? pid : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Takes a folder for this process alone. Node has no file locks of its own, SQLite has: the
 * exclusive transaction on `<name>.lock` is a lock of the kernel, which ends with the process,
 * also by kill -9. The holder's process id is kept beside it for the message.
 * @throws MemplaneError `storage_unavailable`, with `extra.holderPid` where another one holds it.
 */
export function acquireDirectoryLock(dir: string, name = 'memplane'): DirectoryLock {
  const pidFile = path.join(dir, `${name}.pid`);
  let database: DatabaseSync | undefined;
  try {
    mkdirSync(dir, { recursive: true });
    database = new DatabaseSync(path.join(dir, `${name}.lock`), { timeout: 0 });
    database.exec('PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE');
    writeFileSync(pidFile, `${process.pid}\n`);
  } catch (error) {
    database?.close();
    if (sqliteCode(error) === SQLITE_BUSY) throw heldByAnother(dir, holderOf(pidFile));
    throw new MemplaneError(
      'storage_unavailable',
      `The data folder ${dir} can not be written: is it read-only, or another user's?`,
      { cause: toStorageError(error, 'taking the lock of the data folder') },
    );
  }
  const held = database;
  let isHeld = true;
  return {
    dir,
    release() {
      if (!isHeld) return;
      isHeld = false;
      held.close();
    },
  };
}

function heldByAnother(dir: string, pid: number | undefined): MemplaneError {
  const who = pid === undefined ? 'another process' : `another process (pid ${pid})`;
  return new MemplaneError(
    'storage_unavailable',
    `The data folder ${dir} is in use by ${who}. Two planes can not share one folder: ` +
      'end the other one first, or choose another folder.',
    { extra: pid === undefined ? {} : { holderPid: pid } },
  );
}
