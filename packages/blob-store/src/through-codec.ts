import { Readable, type Transform } from 'node:stream';

/** Pipes chunks through a codec as they come; a failure of either side is thrown here. */
export async function* throughCodec(
  content: AsyncIterable<Uint8Array>,
  codec: Transform,
): AsyncGenerator<Buffer> {
  const source = Readable.from(content, { objectMode: true });
  source.on('error', (error) => codec.destroy(error));
  source.pipe(codec);
  try {
    for await (const chunk of codec) yield chunk as Buffer;
  } finally {
    source.destroy();
  }
}
