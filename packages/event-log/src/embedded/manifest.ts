import path from 'node:path';
import { PARTITIONS_MAX } from '@memplane/contracts';
import { z } from 'zod';
import { grownLineage } from '../lineage.ts';
import type { LogInfo } from '../port.ts';
import { damaged } from './errors.ts';
import type { FileSystem } from './file-system.ts';
import { manifestFile } from './places.ts';

/** Of a log that grew: versions that know no growth would read its partitions wrongly. */
export const FORMAT_GROWN = 2;

const manifestSchema = z.object({
  format: z.union([z.literal(1), z.literal(FORMAT_GROWN)]),
  keyId: z.number().int(),
  logId: z.uuid(),
  epoch: z.number().int().min(0),
  partitions: z.number().int().min(1).max(PARTITIONS_MAX),
  /** The first readable offset of its own, per partition. */
  starts: z.array(z.number().int().min(0)),
  /** Of a log that grew. */
  lineage: z
    .object({
      partitionsInitial: z.number().int().min(1),
      bases: z.array(z.number().int().min(0)),
    })
    .optional(),
  /** The indexes of all segments below this one are durable. */
  indexSyncedBefore: z.number().int().min(0),
});

export type Manifest = z.infer<typeof manifestSchema>;

/**
 * The manifest of a log folder; undefined when it holds no log.
 * @throws MemplaneError `storage_damaged` when it is there and can't be read.
 */
export function readManifest(fs: FileSystem, dir: string): Manifest | undefined {
  const file = manifestFile(dir);
  const text = fs.readText(file);
  if (text === undefined) return undefined;
  try {
    const manifest = manifestSchema.parse(JSON.parse(text));
    const { partitions, starts, lineage } = manifest;
    const isWhole = lineage === undefined || lineage.bases.length === partitions;
    if (starts.length === partitions && isWhole) return manifest;
  } catch {
    // said below
  }
  throw damaged('The manifest of the log can not be read', { file: path.basename(file) });
}

export function infoOf({ logId, epoch, partitions, lineage }: Manifest): LogInfo {
  return { logId, epoch, partitions, ...(lineage === undefined ? {} : { lineage }) };
}

/**
 * The manifest after a doubling at the ends that the partitions have: it is the barrier. Once it is
 * durable, the log has grown.
 */
export function grownManifest(before: Manifest, ends: readonly number[]): Manifest {
  const { epoch, partitions, starts } = before;
  const { partitionsInitial, bases } = grownLineage(before.lineage, ends);
  return {
    ...before,
    format: FORMAT_GROWN,
    epoch: epoch + 1,
    partitions: 2 * partitions,
    starts: [...starts, ...ends],
    lineage: { partitionsInitial, bases: [...bases] },
  };
}

/** Keeps the manifest: one writing at a time, each with all changes made so far. */
export class ManifestStore {
  readonly #fs: FileSystem;
  readonly #dir: string;
  #current: Manifest;
  #saving: Promise<void> = Promise.resolve();

  constructor(fs: FileSystem, dir: string, manifest: Manifest) {
    this.#fs = fs;
    this.#dir = dir;
    this.#current = manifest;
  }

  get current(): Manifest {
    return this.#current;
  }

  /** Resolves once the change is durable; it is not taken over when it could not be made so. */
  update(change: (manifest: Manifest) => Manifest): Promise<void> {
    const saved = this.#saving.then(async () => {
      const next = change(this.#current);
      await this.#fs.replaceText(manifestFile(this.#dir), `${JSON.stringify(next, null, 2)}\n`);
      this.#current = next;
    });
    this.#saving = saved.catch(() => undefined);
    return saved;
  }

  /** Resolves when nothing is being written. */
  settled(): Promise<void> {
    return this.#saving;
  }
}
