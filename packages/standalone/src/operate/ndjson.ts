const LINE_FEED = 0x0a;
/** The longest line that is taken, in bytes: an event has half a mebibyte, a set may have more. */
const LINE_BYTES_MAX = 256 * 1024 * 1024;

/** The lines of a text in UTF-8, without their ends; empty ones are left out. */
export async function* linesOf(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<Buffer> {
  let open: Buffer[] = [];
  let openBytes = 0;
  for await (const part of bytes) {
    const chunk = Buffer.from(part.buffer, part.byteOffset, part.byteLength);
    let at = 0;
    for (let end = chunk.indexOf(LINE_FEED); end >= 0; end = chunk.indexOf(LINE_FEED, at)) {
      const last = chunk.subarray(at, end);
      const line = open.length === 0 ? last : Buffer.concat([...open, last]);
      open = [];
      openBytes = 0;
      at = end + 1;
      if (line.length > 0) yield line;
    }
    if (at === chunk.length) continue;
    open.push(chunk.subarray(at));
    openBytes += chunk.length - at;
    if (openBytes > LINE_BYTES_MAX) throw new Error('a line is too long');
  }
  if (openBytes > 0) yield Buffer.concat(open);
}
