import { MemplaneError } from '@memplane/contracts';
import type { BlobContent } from '../port.ts';

/**
 * Cuts content into parts of one size; only the last may be smaller, and there is always one.
 * @throws MemplaneError `body_too_large`
 */
export async function* partsOf(
  name: string,
  content: BlobContent,
  partBytes: number,
  blobBytesMax: number,
): AsyncGenerator<Buffer, void, undefined> {
  let waiting: Uint8Array[] = [];
  let waitingBytes = 0;
  let bytes = 0;
  for await (const chunk of content instanceof Uint8Array ? [content] : content) {
    bytes += chunk.length;
    if (bytes > blobBytesMax) {
      throw new MemplaneError('body_too_large', `${name} is larger than a blob may be`);
    }
    let rest = chunk;
    while (waitingBytes + rest.length > partBytes) {
      const fits = partBytes - waitingBytes;
      yield Buffer.concat([...waiting, rest.subarray(0, fits)]);
      rest = rest.subarray(fits);
      waiting = [];
      waitingBytes = 0;
    }
    if (rest.length > 0) waiting.push(rest);
    waitingBytes += rest.length;
  }
  yield Buffer.concat(waiting);
}
