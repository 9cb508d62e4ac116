import { globSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { zstdDecompressSync } from 'node:zlib';

/** A secret as it may stand in a file, under the name of its form. */
export type Forms = ReadonlyMap<string, Buffer>;

/** A text plain, escaped as JSON may, and in base64 at each of the three places that it may begin. */
export function formsOfText(text: string): Forms {
  const forms = new Map([['plain', Buffer.from(text)]]);
  forms.set('utf16', Buffer.from(text, 'utf16le'));
  const escaped = [...text].map((c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`);
  forms.set('escaped', Buffer.from(escaped.join('')));
  forms.set('hex', Buffer.from(Buffer.from(text).toString('hex')));
  for (let before = 0; before < 3; before++) {
    const encoded = Buffer.from('\0'.repeat(before) + text).toString('base64');
    // What surrounds a text changes the first and the last characters that it shares with others.
    const inner = encoded.slice(before === 0 ? 0 : before + 1, -4);
    forms.set(`base64 at ${before}`, Buffer.from(inner));
  }
  return forms;
}

/** Numbers as float32, little-endian, and in base64. */
export function formsOfVector(values: Float32Array): Forms {
  const bytes = Buffer.from(values.buffer, values.byteOffset, values.byteLength);
  // Base64 of any twelve bytes in a row that begin at a multiple of three is that of sixteen letters.
  return new Map([
    ['float32', bytes.subarray(0, 24)],
    ['base64', Buffer.from(bytes.subarray(0, 24).toString('base64'))],
    ['json', Buffer.from([...values.subarray(0, 3)].join(','))],
  ]);
}

/** Where any form of some secrets is, in all files of a folder; what is compressed is opened. */
export function bytesLeft(folder: string, secrets: ReadonlyMap<string, Forms>): string[] {
  // What a server renames while it is looked through would be missed: then all is looked through again.
  for (let looks = 1; ; looks++) {
    try {
      return search(folder, secrets);
    } catch (error) {
      const isGone = (error as NodeJS.ErrnoException).code === 'ENOENT';
      if (!isGone || looks >= LOOKS_MAX) throw error;
    }
  }
}

const LOOKS_MAX = 20;

function search(folder: string, secrets: ReadonlyMap<string, Forms>): string[] {
  const found: string[] = [];
  for (const name of globSync('**/*', { cwd: folder, dot: true } as object).sort()) {
    const path = join(folder, name);
    if (!statSync(path).isFile()) continue;
    for (const [form, bytes] of contentsOf(withoutRoom(readFileSync(path)))) {
      for (const [secret, forms] of secrets) {
        for (const [written, wanted] of forms) {
          if (bytes.includes(wanted)) found.push(`${name}${form}: ${secret}, ${written}`);
        }
      }
    }
  }
  return found;
}

const EMPTY_BLOCK = Buffer.alloc(4_096);

/** Without the zeros at its end: servers make room for what they will write. */
function withoutRoom(file: Buffer): Buffer {
  let end = file.length;
  for (let from = end - EMPTY_BLOCK.length; from >= 0; from -= EMPTY_BLOCK.length) {
    if (!file.subarray(from, end).equals(EMPTY_BLOCK)) break;
    end = from;
  }
  return file.subarray(0, end);
}

const ZSTD_FRAME = Buffer.from([0x28, 0xb5, 0x2f, 0xfd]);

/** A file as it is, and every zstd frame in it opened: segments of the archive, and snapshots. */
function* contentsOf(file: Buffer): Generator<readonly [form: string, bytes: Buffer]> {
  yield ['', file];
  for (let at = file.indexOf(ZSTD_FRAME); at >= 0; at = file.indexOf(ZSTD_FRAME, at + 4)) {
    try {
      yield [` (zstd at ${at})`, zstdDecompressSync(file.subarray(at))];
    } catch {
      // Four bytes that look like the beginning of a frame, or one that others follow.
    }
  }
}
