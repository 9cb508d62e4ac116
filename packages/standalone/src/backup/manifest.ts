import { createHash } from 'node:crypto';
import { lineageSchema, MemplaneError } from '@memplane/contracts';
import { z } from 'zod';
import { ledgerHeadSchema } from '../ledger/ledger-object.ts';

/** A backup is what a manifest under this name says; without one there is none. */
export const MANIFEST_NAME = 'manifest.json';

const offset = z.number().int().min(-1);
const digest = z.string().regex(/^[0-9a-f]{64}$/);

const partSchema = z.strictObject({
  name: z.string(),
  kind: z.enum(['events', 'shard', 'crdts', 'vectors', 'strong']),
  sizeBytes: z.number().int().min(0),
  /** Of the blob, in hex. */
  sha256: digest,
  /** Of events and shards. */
  partition: z.number().int().min(0).optional(),
  /** Of events. */
  firstOffset: z.number().int().min(0).optional(),
  /** Of events; of a shard the last one applied. */
  lastOffset: z.number().int().min(0).optional(),
});

const contentSchema = z.strictObject({
  format: z.literal(1),
  keyId: z.literal(0),
  tool: z.strictObject({ name: z.literal('memplane'), version: z.string() }),
  createdAt: z.iso.datetime(),
  cut: z.strictObject({
    logId: z.uuid(),
    epoch: z.number().int().min(0),
    /** Of a log that grew. */
    lineage: lineageSchema.optional(),
    /** The last offset of each partition that is in the backup; -1: none. */
    offsets: z.array(offset).min(1),
    /** The first one of each that is its own: where the plane's history began, or it was split off. */
    starts: z.array(z.number().int().min(0)),
    /** The newest stamp of any event; absent where there is none. */
    hlc: z.string().optional(),
  }),
  /** What the views were at the cut, as `GET /v1/digest` tells. */
  views: z.strictObject({
    digest: z.string(),
    shards: z.array(
      z.strictObject({
        partition: z.number().int().min(0),
        appliedOffset: offset,
        entities: z.number().int().min(0),
        digest: z.string(),
      }),
    ),
  }),
  /** Up to where the erasure ledger went right before; absent: made without one. */
  ledger: ledgerHeadSchema.optional(),
  parts: z.array(partSchema),
});

export type BackupContent = z.infer<typeof contentSchema>;
export type BackupPart = z.infer<typeof partSchema>;
export type Manifest = BackupContent & {
  /** Of the manifest without this field, in hex. */
  readonly sha256: string;
};

export function encodeManifest(given: BackupContent): { manifest: Manifest; bytes: Buffer } {
  // Members in the order of the schema: one content has one text.
  const content = contentSchema.parse(given);
  const manifest = { ...content, sha256: digestOf(content) };
  return { manifest, bytes: Buffer.from(`${JSON.stringify(manifest, null, 1)}\n`) };
}

/** @throws MemplaneError `storage_damaged` unless every byte is as it was written */
export function decodeManifest(bytes: Buffer): Manifest {
  try {
    const { sha256, ...rest } = JSON.parse(bytes.toString('utf8')) as Record<string, unknown>;
    const content = contentSchema.parse(rest);
    const { offsets, starts } = content.cut;
    const written = encodeManifest(content);
    if (starts.length === offsets.length && sha256 === written.manifest.sha256) {
      if (bytes.equals(written.bytes)) return written.manifest;
    }
  } catch {
    // told below
  }
  throw damagedPart(MANIFEST_NAME, 'it is damaged, or of a later version of memplane');
}

/** Names the part, and where in it where that is known. */
export function damagedPart(name: string, why: string, cause?: unknown): MemplaneError {
  return new MemplaneError(
    'storage_damaged',
    `The backup's part ${name} can not be used: ${why}.`,
    {
      cause,
      extra: { part: name },
    },
  );
}

function digestOf(content: BackupContent): string {
  return createHash('sha256').update(JSON.stringify(content)).digest('hex');
}
