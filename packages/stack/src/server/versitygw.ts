import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { freePorts } from '@memplane/testkit/ports';
import { VERSITYGW_VERSION, versitygwBinary } from '../build/go.ts';
import { checkHttp } from './http-check.ts';
import type { ServerPlan } from './plan.ts';

export interface VersitygwOptions {
  readonly dir: string;
  readonly name?: string;
  readonly port?: number;
  readonly accessKey: string;
  readonly secretKey: string;
  /** Made at its start where they are not there yet. */
  readonly buckets?: readonly string[];
}

export interface VersitygwPlan extends ServerPlan {
  readonly port: number;
}

/** S3-compatible storage over a folder: a bucket is a folder in `dir/data`. */
export async function versitygwPlan(options: VersitygwOptions): Promise<VersitygwPlan> {
  const command = await versitygwBinary();
  const port = options.port ?? (await freePorts(1))[0] ?? 0;
  const { dir } = options;
  const data = join(dir, 'data');
  return {
    name: options.name ?? 'versitygw',
    version: VERSITYGW_VERSION,
    command,
    args: [
      ...['--port', `127.0.0.1:${port}`, '--health', '/health', 'posix'],
      // Attributes beside the files, for file systems that keep none of the user's.
      ...['--sidecar', join(dir, 'attributes'), data],
    ],
    cwd: dir,
    // By the environment, not the command line: `ps` shows that to all.
    env: { ROOT_ACCESS_KEY: options.accessKey, ROOT_SECRET_KEY: options.secretKey },
    ports: [port],
    logFile: join(dir, 'versitygw.log'),
    prepare: async () => {
      const buckets = (options.buckets ?? []).map((bucket) => join(data, bucket));
      for (const path of [data, join(dir, 'attributes'), ...buckets]) {
        mkdirSync(path, { recursive: true });
      }
    },
    check: () => checkHttp(`http://127.0.0.1:${port}/health`),
    readyTimeoutMs: 30_000,
    stopTimeoutMs: 10_000,
    port,
  };
}
