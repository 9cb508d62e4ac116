import type { Socket } from 'node:net';

const LENGTH_BYTES = 4;

/** One message on a stream: its length in four bytes, the highest first, then its bytes. */
export function frame(bytes: Uint8Array): Buffer {
  const framed = Buffer.allocUnsafe(LENGTH_BYTES + bytes.length);
  framed.writeUInt32BE(bytes.length);
  framed.set(bytes, LENGTH_BYTES);
  return framed;
}

/**
 * Reads one frame, then nothing more. Memory is taken only for bytes that came in, whatever length
 * was declared.
 * @param done called once: with the bytes, or with nothing when the frame is longer than
 * `bytesMax`; never, when the stream ends before
 */
export function readFrame(
  socket: Socket,
  bytesMax: number,
  done: (bytes: Uint8Array | undefined) => void,
): void {
  const chunks: Buffer[] = [];
  let length = 0;
  let wanted: number | undefined;
  const take = (chunk: Buffer) => {
    chunks.push(chunk);
    length += chunk.length;
    if (wanted === undefined && length >= LENGTH_BYTES) {
      wanted = Buffer.concat(chunks).readUInt32BE();
    }
    if (wanted === undefined) return;
    if (wanted <= bytesMax && length < LENGTH_BYTES + wanted) return;
    socket.off('data', take);
    done(
      wanted > bytesMax
        ? undefined
        : Buffer.concat(chunks).subarray(LENGTH_BYTES, LENGTH_BYTES + wanted),
    );
  };
  socket.on('data', take);
}
