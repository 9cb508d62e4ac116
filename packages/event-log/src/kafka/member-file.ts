import { closeSync, fstatSync, ftruncateSync, openSync, readFileSync, writeSync } from 'node:fs';

const BOOT_ID = '/proc/sys/kernel/random/boot_id';

/**
 * Which member of the group the process with this folder is. Where it was killed, the next one with
 * the folder leaves the group on its behalf: else nobody owns its partitions until the session
 * timeout has passed. The folder must be locked by whoever reads this, so that the one before is
 * known to be gone; a copy of the file, and one from before a boot or of another machine, say nothing.
 */
export class MemberFile {
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
  }

  /** Undefined where nothing is known for certain. */
  read(): string | undefined {
    try {
      const file = openSync(this.#path, 'r');
      try {
        const [memberId, place] = readFileSync(file, 'utf8').split('\n');
        return memberId && place === placeOf(file) ? memberId : undefined;
      } finally {
        closeSync(file);
      }
    } catch {
      return undefined;
    }
  }

  /** What can't be written is only not known later. */
  write(memberId: string): void {
    try {
      const file = openSync(this.#path, 'a');
      try {
        ftruncateSync(file);
        writeSync(file, `${memberId}\n${placeOf(file)}\n`);
      } finally {
        closeSync(file);
      }
    } catch {}
  }
}

/** This very file on this machine since it was booted. */
function placeOf(file: number): string {
  const { dev, ino } = fstatSync(file, { bigint: true });
  return `${readFileSync(BOOT_ID, 'utf8').trim()} ${dev} ${ino}`;
}
