import { type Embedding, MemplaneError } from '@memplane/contracts';

/**
 * Checks an embedding against its collection: the dimensions, and that each value is a finite
 * float32 (JSON can write 1e39, which float32 can not hold; base64 can hold NaN).
 * @param field how a problem names the embedding
 * @throws MemplaneError `wrong_dimensions` or `invalid_event`
 */
export function checkEmbedding(embedding: Embedding, dimensions: number, field: string): void {
  const { values } = embedding;
  const place = `${field}.values`;
  if (typeof values !== 'string') {
    if (values.length !== dimensions) throw wrongDimensions(values.length, dimensions, place);
    for (let i = 0; i < values.length; i++) {
      if (!Number.isFinite(Math.fround(values[i] ?? Number.NaN))) {
        throw notFinite(`${place}[${i}]`);
      }
    }
    return;
  }
  const bytes = Buffer.from(values, 'base64');
  if (bytes.length % 4 !== 0) {
    throw new MemplaneError('invalid_event', `${place}: ${bytes.length} bytes are no float32s.`, {
      field: place,
    });
  }
  if (bytes.length !== dimensions * 4) {
    throw wrongDimensions(bytes.length / 4, dimensions, place);
  }
  for (let at = 0; at < bytes.length; at += 4) {
    // An exponent of all ones: infinity or NaN.
    if ((bytes.readUInt32LE(at) & 0x7f800000) === 0x7f800000) throw notFinite(place);
  }
}

function wrongDimensions(got: number, wanted: number, field: string): MemplaneError {
  return new MemplaneError(
    'wrong_dimensions',
    `${field}: the vector has ${got} dimensions, the collection ${wanted}.`,
    { field, extra: { dimensions: wanted } },
  );
}

function notFinite(field: string): MemplaneError {
  return new MemplaneError('invalid_event', `${field}: must be a finite float32.`, { field });
}
