import {
  AbortMultipartUploadCommand,
  type CompletedPart,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  HeadObjectCommand,
  PutObjectCommand,
  type S3Client,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import type { PutResult } from '../port.ts';
import { attemptsOf, isConditionFailed, isUploadGone } from './errors.ts';

export interface UploadTarget {
  readonly client: S3Client;
  readonly bucket: string;
  readonly name: string;
  readonly ifAbsent: boolean;
}

/** Tells a blob of this very call from one that another has put. */
const PUT_ID = 'memplane-put-id';

/** A blob in one request: seen whole or not at all. */
export async function putWhole(target: UploadTarget, body: Buffer): Promise<PutResult> {
  const { client, bucket, name, ifAbsent } = target;
  const putId = crypto.randomUUID();
  const command = new PutObjectCommand({
    Bucket: bucket,
    Key: name,
    Body: body,
    ContentLength: body.length,
    Metadata: { [PUT_ID]: putId },
    ...(ifAbsent ? { IfNoneMatch: '*' } : {}),
  });
  return await settle(target, putId, client.send(command));
}

/**
 * A blob in parts, one after the other: nothing of it is seen before the last request. What is begun
 * and not ended is given up, also when the content fails.
 */
export async function putParts(
  target: UploadTarget,
  first: Buffer,
  rest: AsyncIterable<Buffer>,
): Promise<PutResult> {
  const { client, bucket, name, ifAbsent } = target;
  const key = { Bucket: bucket, Key: name };
  const putId = crypto.randomUUID();
  const begun = await client.send(
    new CreateMultipartUploadCommand({ ...key, Metadata: { [PUT_ID]: putId } }),
  );
  const upload = { ...key, UploadId: begun.UploadId };
  try {
    const parts: CompletedPart[] = [];
    const send = async (body: Buffer) => {
      const PartNumber = parts.length + 1;
      const { ETag } = await client.send(
        new UploadPartCommand({ ...upload, PartNumber, Body: body, ContentLength: body.length }),
      );
      parts.push({ PartNumber, ETag });
    };
    await send(first);
    for await (const part of rest) await send(part);
    const end = new CompleteMultipartUploadCommand({
      ...upload,
      MultipartUpload: { Parts: parts },
      ...(ifAbsent ? { IfNoneMatch: '*' } : {}),
    });
    const result = await settle(target, putId, client.send(end));
    if (!result.written) await abort(client, upload);
    return result;
  } catch (error) {
    await abort(client, upload);
    throw error;
  }
}

/**
 * Tells what became of the request that publishes a blob. An attempt whose answer was lost may have
 * done it: the next one is then refused because of what the first one put, so that is looked at.
 */
async function settle(
  target: UploadTarget,
  putId: string,
  sent: Promise<unknown>,
): Promise<PutResult> {
  try {
    await sent;
    return { written: true };
  } catch (error) {
    const mayBeOurs = attemptsOf(error) > 1 && (isConditionFailed(error) || isUploadGone(error));
    if (mayBeOurs && (await putIdOf(target)) === putId) return { written: true };
    if (target.ifAbsent && isConditionFailed(error)) return { written: false };
    throw error;
  }
}

async function putIdOf({ client, bucket, name }: UploadTarget): Promise<string | undefined> {
  const head = await client.send(new HeadObjectCommand({ Bucket: bucket, Key: name }));
  return head.Metadata?.[PUT_ID];
}

async function abort(
  client: S3Client,
  upload: { Bucket: string; Key: string; UploadId: string | undefined },
): Promise<void> {
  // What can not be given up now is found by `recover`, or by a rule of the bucket.
  await client.send(new AbortMultipartUploadCommand(upload)).catch(() => {});
}
