import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3';
import { ServerProcess, versitygwPlan } from '@memplane/stack';
import type { S3Options } from './options.ts';

const ACCESS_KEY = 'test-access-key';
const SECRET_KEY = 'test-secret-key';

/** A real S3 server over a folder of its own, for tests. */
export class S3Server {
  readonly process: ServerProcess;
  readonly port: number;
  readonly #dir: string;
  #buckets = 0;

  private constructor(process: ServerProcess, port: number, dir: string) {
    this.process = process;
    this.port = port;
    this.#dir = dir;
  }

  static async start(): Promise<S3Server> {
    const dir = await mkdtemp(join(tmpdir(), 'memplane-s3-'));
    const plan = await versitygwPlan({ dir, accessKey: ACCESS_KEY, secretKey: SECRET_KEY });
    return new S3Server(await ServerProcess.start(plan), plan.port, dir);
  }

  /** Where a bucket is, without the bucket. */
  get access(): Omit<S3Options, 'bucket'> {
    const endpoint = `http://127.0.0.1:${this.port}`;
    return { endpoint, accessKey: ACCESS_KEY, secretKey: SECRET_KEY };
  }

  /** A new bucket, and how to reach it. */
  async makeBucket(): Promise<S3Options> {
    const bucket = `bucket-${this.#buckets++}`;
    const client = new S3Client({
      endpoint: `http://127.0.0.1:${this.port}`,
      forcePathStyle: true,
      region: 'us-east-1',
      credentials: { accessKeyId: ACCESS_KEY, secretAccessKey: SECRET_KEY },
    });
    await client.send(new CreateBucketCommand({ Bucket: bucket }));
    client.destroy();
    return { ...this.access, bucket };
  }

  async stop(): Promise<void> {
    await this.process.stop();
    await rm(this.#dir, { recursive: true, force: true });
  }
}
