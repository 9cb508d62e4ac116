import type { BlobStore } from '@memplane/blob-store';
import { MemplaneError } from '@memplane/contracts';
import {
  type ManifestKind,
  type ManifestName,
  manifestFolder,
  manifestName,
  parseManifestName,
} from '../domain/archive-names.ts';

const FORMAT = { format: 1, keyId: 0 } as const;

/** What every manifest tells. */
export interface ManifestBase {
  readonly logId: string;
  readonly epoch: number;
  readonly partition: number;
  readonly ownerEpoch: number;
  /** Everything up to it, inclusive, is covered. */
  readonly offset: number;
}

/** The manifests of a kind for one partition, the one that counts first. */
export async function listManifests(
  blobs: BlobStore,
  kind: ManifestKind,
  logId: string,
  partition: number,
): Promise<ManifestName[]> {
  const found: ManifestName[] = [];
  for await (const { name } of blobs.list(manifestFolder(kind, logId, partition))) {
    const parsed = parseManifestName(name);
    if (parsed !== undefined) found.push(parsed);
  }
  return found.reverse();
}

/** @throws MemplaneError `storage_damaged` for one in a format that is not ours */
export async function readManifest<M extends ManifestBase>(
  blobs: BlobStore,
  name: string,
): Promise<M> {
  const json = JSON.parse((await blobs.get(name)).toString()) as M & {
    format?: unknown;
    keyId?: unknown;
  };
  if (json.format === FORMAT.format && json.keyId === FORMAT.keyId) return json;
  throw new MemplaneError('storage_damaged', `The manifest ${name} has another format.`, {
    extra: { blob: name },
  });
}

export async function writeManifest(
  blobs: BlobStore,
  kind: ManifestKind,
  manifest: ManifestBase,
): Promise<void> {
  const name = manifestName(kind, manifest.logId, manifest.partition, manifest);
  await blobs.put(name, Buffer.from(JSON.stringify({ ...FORMAT, ...manifest })));
}
