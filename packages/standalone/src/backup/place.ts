import { mkdir, stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { type BlobStore, FileBlobStore, PrefixedBlobStore } from '@memplane/blob-store';
import { CommandError, EXIT } from '../output/exit-codes.ts';

type Env = Readonly<Record<string, string | undefined>>;

/** Where a backup is, and how to let go of it. */
export interface Place {
  readonly blobs: BlobStore;
  close(): void;
}

/**
 * @param spec a folder, or `s3://bucket/prefix`
 * @param mustExist a folder that is not there is no place to read from
 * @throws CommandError
 */
export async function openPlace(spec: string, mustExist: boolean, env: Env): Promise<Place> {
  if (spec.startsWith('s3://')) return await openS3(spec, env);
  const folder = resolve(spec);
  const found = await stat(folder).catch(() => undefined);
  if (found === undefined && mustExist) {
    throw new CommandError(`There is no folder ${folder}.`, EXIT.notFound);
  }
  if (found !== undefined && !found.isDirectory()) {
    throw new CommandError(`${folder} is not a folder.`, EXIT.usage);
  }
  if (!mustExist) await mkdir(folder, { recursive: true });
  const blobs = await FileBlobStore.open(folder);
  if (!mustExist) await blobs.recover();
  return { blobs, close: () => {} };
}

/** The settings of what is in another storage than the backup, by those that they stand for. */
const OWN_SETTINGS = {
  S3_ENDPOINT: 'MEMPLANE_S3_ENDPOINT',
  S3_REGION: 'MEMPLANE_S3_REGION',
  ACCESS_KEY_ID: 'AWS_ACCESS_KEY_ID',
  SECRET_ACCESS_KEY: 'AWS_SECRET_ACCESS_KEY',
} as const;

/** The place of a plane's archive: in the same storage as the backup unless settings say otherwise. */
export function openArchivePlace(spec: string, env: Env): Promise<Place> {
  return openPlace(spec, false, settingsOf('MEMPLANE_ARCHIVE_', env));
}

/** Settings in which those of a place of its own come before the common ones. */
export function settingsOf(prefix: string, env: Env): Env {
  const settings = { ...env };
  for (const [own, common] of Object.entries(OWN_SETTINGS)) {
    const value = env[prefix + own];
    if (value) settings[common] = value;
  }
  return settings;
}

async function openS3(spec: string, env: Env): Promise<Place> {
  const match = /^s3:\/\/([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:\/(.*?))?\/*$/.exec(spec);
  if (match === null) throw new CommandError('S3 is given as s3://BUCKET/PREFIX.', EXIT.usage);
  const [, bucket = '', prefix = ''] = match;
  const accessKey = env['AWS_ACCESS_KEY_ID'];
  const secretKey = env['AWS_SECRET_ACCESS_KEY'];
  if (!accessKey || !secretKey) {
    throw new CommandError(
      'Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY to the keys of the storage.',
      EXIT.usage,
    );
  }
  const { S3BlobStore } = await import('@memplane/blob-store/s3');
  const store = await S3BlobStore.open({
    endpoint: env['MEMPLANE_S3_ENDPOINT'] || undefined,
    ...(env['MEMPLANE_S3_REGION'] ? { region: env['MEMPLANE_S3_REGION'] } : {}),
    ...{ bucket, accessKey, secretKey },
  });
  const blobs = prefix === '' ? store : new PrefixedBlobStore(store, `${prefix}/`);
  return { blobs, close: () => store.close() };
}
