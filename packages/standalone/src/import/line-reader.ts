import { open } from 'node:fs/promises';

/** A line of a file and where it is. */
export interface FileLine {
  readonly bytes: Buffer;
  /** Counted from 1. */
  readonly line: number;
  /** Where the next line begins, in bytes. */
  readonly end: number;
}

const CHUNK_BYTES = 1024 * 1024;
const NEWLINE = 0x0a;

/**
 * Reads lines from a byte offset on, a chunk at a time.
 * @param line the number of the line before the first one that is read
 * @param lineBytesMax a longer line is given cut off, so that it is refused, not stored in part
 */
export async function* readLines(
  file: string,
  start: { readonly offset: number; readonly line: number },
  lineBytesMax: number,
): AsyncGenerator<FileLine> {
  const handle = await open(file, 'r');
  try {
    let { offset, line } = start;
    let rest: Buffer = Buffer.alloc(0);
    let position = offset;
    for (;;) {
      const chunk = Buffer.allocUnsafe(CHUNK_BYTES);
      const { bytesRead } = await handle.read(chunk, 0, CHUNK_BYTES, position);
      position += bytesRead;
      const data =
        rest.length === 0
          ? chunk.subarray(0, bytesRead)
          : Buffer.concat([rest, chunk.subarray(0, bytesRead)]);
      let at = 0;
      for (let end = data.indexOf(NEWLINE); end !== -1; end = data.indexOf(NEWLINE, at)) {
        offset += end + 1 - at;
        yield { bytes: data.subarray(at, end), line: ++line, end: offset };
        at = end + 1;
      }
      rest = data.subarray(at);
      if (bytesRead === 0) {
        if (rest.length > 0) yield { bytes: rest, line: ++line, end: offset + rest.length };
        return;
      }
      if (rest.length > lineBytesMax)
        throw new RangeError(`line ${line + 1} is longer than ${lineBytesMax} bytes`);
    }
  } finally {
    await handle.close();
  }
}
