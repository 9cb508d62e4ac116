import { z } from 'zod';
import { operation } from '../operation.ts';

/** What a backup reads beside the feed of `agent-events`. Whole planes are backed up, not tenants. */

export const getShardSnapshot = operation({
  id: 'getShardSnapshot',
  method: 'get',
  // Not below /v1/shards, which agents may read through their sidecars.
  path: '/v1/snapshots/{partition}',
  summary: 'All rows of a shard at one applied offset, for a backup',
  tags: ['operations'],
  role: 'operator',
  params: z.strictObject({
    partition: z
      .string()
      .regex(/^\d{1,4}$/)
      .transform(Number)
      .meta({ override: { type: 'integer', minimum: 0, maximum: 9999 } }),
  }),
  responses: {
    200: {
      description:
        'The snapshot, as the blob store holds those of shards. It ends with its own checksum; the ' +
        'header `memplane-applied-offset` says up to where it goes.',
      mediaTypes: ['application/octet-stream'],
    },
    204: { description: 'The shard has applied nothing.' },
  },
  errors: ['not_found', 'owner_moving', 'storage_damaged'],
});

/** The header of {@link getShardSnapshot}'s answer: the offset that the snapshot goes up to. */
export const APPLIED_OFFSET_HEADER = 'memplane-applied-offset';

/** The lines of {@link exportCrdts} and {@link exportComputedVectors} begin and end alike. */
export const exportEndSchema = z
  .strictObject({ end: z.literal(true), count: z.number().int().min(0) })
  .meta({ id: 'ExportEnd' });

export const crdtExportLineSchema = z
  .union([
    z
      .strictObject({
        format: z.literal(1),
        keyId: z.literal(0),
        /** The highest stamp of any commit. */
        hlc: z.string(),
        /** Up to which commit of each incarnation all is in what follows. */
        commits: z.record(z.string(), z.number().int().min(0)),
      })
      .meta({ id: 'CrdtExportHead' }),
    /** A name with all that it holds: a delta in the canonical encoding, base64. */
    z.strictObject({ delta: z.base64() }).meta({ id: 'CrdtExportName' }),
    exportEndSchema,
  ])
  .meta({ id: 'CrdtExportLine' });

export const exportCrdts = operation({
  id: 'exportCrdts',
  method: 'get',
  path: '/v1/export',
  summary: 'All counters, sets, registers, flags and maps, for a backup',
  tags: ['operations'],
  role: 'operator',
  responses: {
    200: {
      description:
        'Lines of JSON: a head, then names (each as of one moment), then `{"end":true,"count":…}`. ' +
        'What lacks its last line is incomplete: a value is damaged, or the service has ended.',
      mediaTypes: ['application/x-ndjson'],
    },
  },
  errors: ['storage_damaged', 'storage_unavailable'],
});

export const computedVectorLineSchema = z
  .union([
    z
      .strictObject({ format: z.literal(1), keyId: z.literal(0) })
      .meta({ id: 'ComputedVectorsHead' }),
    z
      .strictObject({
        model: z.string(),
        /** SHA-256 of the text, base64url. */
        textHash: z.string(),
        /** Little-endian float32, base64. */
        vector: z.string(),
      })
      .meta({ id: 'ComputedVector' }),
    exportEndSchema,
  ])
  .meta({ id: 'ComputedVectorLine' });

export const exportComputedVectors = operation({
  id: 'exportComputedVectors',
  method: 'get',
  path: '/v1/computed-vectors',
  summary: 'The vectors that the plane has computed itself, for a backup',
  tags: ['operations'],
  role: 'operator',
  responses: {
    200: {
      description:
        'Lines of JSON: a head, then vectors by model and hash, then `{"end":true,"count":…}`.',
      mediaTypes: ['application/x-ndjson'],
    },
  },
  errors: ['storage_unavailable'],
});

export const strongRecordLineSchema = z
  .union([
    z.strictObject({ format: z.literal(1), keyId: z.literal(0) }).meta({ id: 'StrongRecordsHead' }),
    /** As the strong store has it; keys begin with a tenant. */
    z.strictObject({ key: z.string(), value: z.string() }).meta({ id: 'StrongRecord' }),
    exportEndSchema,
  ])
  .meta({ id: 'StrongRecordLine' });

export const exportStrongRecords = operation({
  id: 'exportStrongRecords',
  method: 'get',
  path: '/v1/strong-records',
  summary: 'Leases, heads of strong entities, the table of zones and erasures, for a backup',
  tags: ['operations'],
  role: 'operator',
  responses: {
    200: {
      description:
        'Lines of JSON: a head, then records by key, then `{"end":true,"count":…}`. Only where the ' +
        'plane keeps them itself, or `MEMPLANE_ETCD_ENDPOINTS` is set.',
      mediaTypes: ['application/x-ndjson'],
    },
  },
  errors: ['not_implemented', 'storage_unavailable'],
});

export type StrongRecordLine = z.infer<typeof strongRecordLineSchema>;
export type CrdtExportLine = z.infer<typeof crdtExportLineSchema>;
export type ComputedVectorLine = z.infer<typeof computedVectorLineSchema>;
