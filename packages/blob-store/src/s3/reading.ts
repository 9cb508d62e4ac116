import type { Readable } from 'node:stream';
import { GetObjectCommand, type GetObjectCommandOutput, type S3Client } from '@aws-sdk/client-s3';
import { MemplaneError } from '@memplane/contracts';
import type { GetOptions } from '../port.ts';
import { isConditionFailed, s3Error } from './errors.ts';

export interface ReadSource {
  readonly client: S3Client;
  readonly bucket: string;
  readonly name: string;
  readonly attempts_max: number;
  /** Refuses more bytes than this; undefined: any number. */
  readonly bytesMax?: number;
}

interface Progress {
  /** The next byte wanted. */
  at: number;
  /** The one after the last; undefined until the first answer tells. */
  end: number | undefined;
  /** The version that was begun with: what was replaced meanwhile is not mixed in. */
  etag: string | undefined;
}

/**
 * The bytes of a blob, or of a range of it. A connection that breaks is taken up where it broke, at
 * most `attempts_max` times without a byte in between.
 * @throws MemplaneError `not_found`, `invalid_request` for a range beyond the blob,
 * `body_too_large`, `storage_unavailable`
 */
export async function* readBytes(
  source: ReadSource,
  { range }: GetOptions,
): AsyncGenerator<Buffer, void, undefined> {
  if (range !== undefined) checkRange(source.name, range);
  const progress: Progress = {
    at: range?.start ?? 0,
    end: range === undefined ? undefined : range.start + range.length,
    etag: undefined,
  };
  for (let attempts = 1; ; attempts++) {
    const before = progress.at;
    // An empty range can't be asked for: the whole is, and not read.
    const body = await begin(source, progress, range !== undefined && range.length > 0);
    try {
      yield* pass(body, progress);
      return;
    } catch (error) {
      if (progress.at > before) attempts = 1;
      if (attempts >= source.attempts_max) throw s3Error(error, source.name);
    } finally {
      body.destroy();
    }
  }
}

/** Asks for what is not there yet; the client itself repeats a request that is not answered. */
async function begin(source: ReadSource, progress: Progress, hasRange: boolean): Promise<Readable> {
  const { client, bucket, name, bytesMax = Number.POSITIVE_INFINITY } = source;
  const { at, end, etag } = progress;
  const isPart = hasRange || etag !== undefined;
  const request = new GetObjectCommand({
    Bucket: bucket,
    Key: name,
    ...(isPart ? { Range: `bytes=${at}-${end === undefined ? '' : end - 1}` } : {}),
    ...(etag === undefined ? {} : { IfMatch: etag }),
  });
  const answer = await client.send(request).catch((error: unknown) => {
    throw isConditionFailed(error) ? replaced(name) : s3Error(error, name);
  });
  const body = answer.Body as Readable;
  const size = sizeOf(answer);
  progress.end ??= size;
  progress.etag = answer.ETag ?? '';
  if (progress.end <= size && progress.end - at <= bytesMax) return body;
  body.destroy();
  if (progress.end > size) throw outOfRange(name, at, progress.end - at);
  throw new MemplaneError('body_too_large', `${name} is more than ${bytesMax} bytes at once`);
}

async function* pass(body: Readable, progress: Progress): AsyncGenerator<Buffer, void, undefined> {
  if (progress.at === progress.end) return;
  for await (const chunk of body) {
    progress.at += (chunk as Buffer).length;
    yield chunk as Buffer;
  }
  if (progress.at !== progress.end) throw new Error(`it broke off at byte ${progress.at}`);
}

/** Of the whole blob, whatever part of it was asked for. */
function sizeOf({ ContentRange, ContentLength = 0 }: GetObjectCommandOutput): number {
  const total = /\/(\d+)$/.exec(ContentRange ?? '')?.[1];
  return total === undefined ? ContentLength : Number(total);
}

function checkRange(name: string, { start, length }: { start: number; length: number }): void {
  const isWhole = Number.isSafeInteger(start) && Number.isSafeInteger(length);
  if (!isWhole || start < 0 || length < 0) throw outOfRange(name, start, length);
}

function outOfRange(name: string, start: number, length: number): MemplaneError {
  return new MemplaneError('invalid_request', `${name} has no bytes ${start}+${length}`, {
    field: 'range',
  });
}

function replaced(name: string): MemplaneError {
  return new MemplaneError('storage_unavailable', `${name} was replaced while it was read`);
}
