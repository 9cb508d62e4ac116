import {
  AbortMultipartUploadCommand,
  DeleteObjectCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  S3Client,
} from '@aws-sdk/client-s3';
import { MemplaneError } from '@memplane/contracts';
import { checkBlobName, checkBlobPrefix, isBlobName } from '../names.ts';
import type {
  BlobContent,
  BlobInfo,
  BlobStore,
  GetOptions,
  ListOptions,
  PutOptions,
  PutResult,
} from '../port.ts';
import { s3Error } from './errors.ts';
import { PART_BYTES_MIN, type ResolvedS3Options, S3_DEFAULTS, type S3Options } from './options.ts';
import { partsOf } from './parts.ts';
import { readBytes } from './reading.ts';
import { putParts, putWhole } from './upload.ts';

/**
 * Blobs as objects of one bucket of any storage that speaks S3. A small blob is put in one request, a
 * larger one in parts that nobody sees before the last; conditions are the server's to judge.
 * Each request is attempted `attempts_max` times at most, with growing pauses.
 */
export class S3BlobStore implements BlobStore {
  readonly #client: S3Client;
  readonly #options: ResolvedS3Options;

  private constructor(options: ResolvedS3Options) {
    this.#options = options;
    this.#client = clientOf(options);
  }

  /**
   * @throws MemplaneError `dependency_unavailable` when there is no such bucket, `unauthorized` or
   * `forbidden` for keys that may not use it, `storage_unavailable`
   */
  static async open(options: S3Options): Promise<S3BlobStore> {
    if ((options.partBytes ?? PART_BYTES_MIN) < PART_BYTES_MIN) {
      throw new MemplaneError('invalid_request', `A part has at least ${PART_BYTES_MIN} bytes`);
    }
    const store = new S3BlobStore({ ...S3_DEFAULTS, ...options });
    try {
      // A HEAD would do, but its answer has no room for the reason of a refusal.
      await store.#client.send(new ListObjectsV2Command({ Bucket: options.bucket, MaxKeys: 1 }));
      return store;
    } catch (error) {
      store.close();
      throw s3Error(error, `bucket ${options.bucket}`);
    }
  }

  /** Lets the connections go. */
  close(): void {
    this.#client.destroy();
  }

  /**
   * Gives up what crashed processes have begun and not ended, so that its parts take no room.
   * @param ageMsMin spares what others may still be at
   * @param nowMs milliseconds since 1970
   */
  async recover(ageMsMin: number, nowMs: number): Promise<void> {
    const { bucket } = this.#options;
    await this.#coded(bucket, async () => {
      const { Uploads = [] } = await this.#client.send(
        new ListMultipartUploadsCommand({ Bucket: bucket }),
      );
      for (const { Key, UploadId, Initiated } of Uploads) {
        if (Initiated !== undefined && nowMs - Initiated.getTime() < ageMsMin) continue;
        await this.#client.send(new AbortMultipartUploadCommand({ Bucket: bucket, Key, UploadId }));
      }
    });
  }

  async put(name: string, content: BlobContent, options: PutOptions = {}): Promise<PutResult> {
    const { bucket, partBytes, blobBytesMax } = this.#options;
    checkBlobName(name);
    const target = { client: this.#client, bucket, name, ifAbsent: options.ifAbsent === true };
    return await this.#coded(name, async () => {
      const parts = partsOf(name, content, partBytes, blobBytesMax);
      const first = await parts.next();
      if (first.done) throw new MemplaneError('internal', 'content without a part');
      if (first.value.length < partBytes) {
        await parts.return();
        return await putWhole(target, first.value);
      }
      return await putParts(target, first.value, parts);
    });
  }

  async get(name: string, options: GetOptions = {}): Promise<Buffer> {
    const { getBytesMax } = this.#options;
    const chunks: Buffer[] = [];
    for await (const chunk of this.#read(name, options, getBytesMax)) chunks.push(chunk);
    return Buffer.concat(chunks);
  }

  stream(name: string, options: GetOptions = {}): AsyncGenerator<Buffer, void, undefined> {
    return this.#read(name, options);
  }

  async *#read(
    name: string,
    options: GetOptions,
    bytesMax?: number,
  ): AsyncGenerator<Buffer, void, undefined> {
    const { bucket, attempts_max } = this.#options;
    checkBlobName(name);
    const bound = bytesMax === undefined ? {} : { bytesMax };
    yield* readBytes({ client: this.#client, bucket, name, attempts_max, ...bound }, options);
  }

  async head(name: string): Promise<BlobInfo | undefined> {
    const key = { Bucket: this.#options.bucket, Key: checkBlobName(name) };
    try {
      const { ContentLength = 0 } = await this.#client.send(new HeadObjectCommand(key));
      return { name, sizeBytes: ContentLength };
    } catch (error) {
      const problem = s3Error(error, name);
      if (problem.code === 'not_found') return undefined;
      throw problem;
    }
  }

  async *list(prefix: string, options: ListOptions = {}): AsyncGenerator<BlobInfo> {
    checkBlobPrefix(prefix);
    const { list_names_max } = this.#options;
    let left = options.limit ?? Number.POSITIVE_INFINITY;
    let token: string | undefined;
    do {
      const request = new ListObjectsV2Command({
        Bucket: this.#options.bucket,
        Prefix: prefix,
        MaxKeys: Math.min(list_names_max, left),
        ...(token === undefined ? { StartAfter: options.after } : { ContinuationToken: token }),
      });
      const page = await this.#coded(prefix, () => this.#client.send(request));
      for (const { Key: name = '', Size: sizeBytes = 0 } of page.Contents ?? []) {
        // Others may keep objects beside ours.
        if (!isBlobName(name)) continue;
        if (left-- <= 0) return;
        yield { name, sizeBytes };
      }
      token = page.IsTruncated === true ? page.NextContinuationToken : undefined;
    } while (token !== undefined && left > 0);
  }

  async delete(name: string): Promise<void> {
    const key = { Bucket: this.#options.bucket, Key: checkBlobName(name) };
    await this.#coded(name, () => this.#client.send(new DeleteObjectCommand(key))).catch(
      (error: unknown) => {
        if (error instanceof MemplaneError && error.code === 'not_found') return;
        throw error;
      },
    );
  }

  async #coded<T>(name: string, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      throw s3Error(error, name);
    }
  }
}

function clientOf(options: ResolvedS3Options): S3Client {
  const { endpoint, region, accessKey, secretKey, connections_max } = options;
  const agent = { maxSockets: connections_max, keepAlive: true };
  return new S3Client({
    ...(endpoint === undefined ? {} : { endpoint, forcePathStyle: true }),
    region,
    credentials: { accessKeyId: accessKey, secretAccessKey: secretKey },
    maxAttempts: options.attempts_max,
    retryMode: 'standard',
    requestHandler: {
      connectionTimeout: options.connectTimeoutMs,
      requestTimeout: options.requestTimeoutMs,
      throwOnRequestTimeout: true,
      socketTimeout: options.requestTimeoutMs,
      httpAgent: agent,
      httpsAgent: agent,
    },
    // Not all servers know the checksums in trailers; what is put is read back and compared anyway.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
  });
}
