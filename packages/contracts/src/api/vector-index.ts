import { z } from 'zod';
import { entitySchema, eventIdSchema, metadataSchema } from '../event.ts';
import { LIMITS } from '../limits.ts';
import { operation } from '../operation.ts';

/** Longest query text: more is no question. */
export const SEARCH_TEXT_BYTES_MAX = 16 * 1024;

const tokenSchema = z.string().min(1).max(8192);

export const searchRequestSchema = z
  .strictObject({
    /** Numbers, or base64 of little-endian float32; of the collection's dimensions. */
    vector: z
      .union([
        z.array(z.number()).min(1).max(LIMITS.vector_dimensions_max),
        z
          .base64()
          .min(1)
          .max(Math.ceil((LIMITS.vector_dimensions_max * 4) / 3) * 4),
      ])
      .optional(),
    /** The model of `vector`; checked where the collection has one. */
    model: z.string().min(1).max(128).optional(),
    text: z.string().min(1).max(SEARCH_TEXT_BYTES_MAX).optional(),
    topK: z.number().int().min(1).max(LIMITS.search_top_k_max).default(10),
    /** About the memory's metadata; `entity.x` is about its entity's attributes. */
    filter: z.record(z.string(), z.json()).optional(),
    entity: entitySchema.optional(),
    after: z
      .union([tokenSchema, z.array(tokenSchema).min(1).max(LIMITS.tokens_per_read_max)])
      .optional(),
    asOf: z.string().min(1).max(8192).optional(),
    waitMs: z.number().int().min(0).max(LIMITS.wait_ms_max).default(LIMITS.wait_ms_default),
  })
  .refine((body) => body.vector !== undefined || body.text !== undefined, {
    error: 'give a vector, a text, or both',
    path: ['text'],
  })
  .meta({
    id: 'SearchRequest',
    examples: [{ text: 'a cheap hotel in the north', topK: 5, filter: { channel: 'email' } }],
  });

export const searchHitSchema = z
  .strictObject({
    memoryId: z.string(),
    entity: z.string(),
    /**
     * Higher is better; comparable within one answer only. Cosine similarity for a vector alone,
     * BM25 for text alone, else the sum of reciprocal ranks.
     */
    score: z.number(),
    eventId: eventIdSchema,
    offset: z.number().int(),
    memory: z.strictObject({
      id: z.string(),
      text: z.string().optional(),
      metadata: metadataSchema.optional(),
      /** Present and true: a turn of a dialogue, not one of the entity's memories. */
      turn: z.literal(true).optional(),
    }),
  })
  .meta({ id: 'SearchHit' });

export const searchResponseSchema = z
  .strictObject({
    results: z.array(searchHitSchema),
    /** The cut that all of the answer reflects. */
    asOf: z.strictObject({
      epoch: z.number().int(),
      /** When `ttl` was judged. */
      time: z.string(),
      /** partition → last offset included; −1: none. */
      offsets: z.record(z.string(), z.number().int()),
    }),
    /** The same cut; as `asOf` of the same search it finds the same again. */
    token: tokenSchema,
    /**
     * Where the statistics of words came from: the memories of the entity at the cut, or those of
     * all entities as they are today. Absent for a vector alone.
     */
    statistics: z.enum(['entity', 'today']).optional(),
    /** Memories that still wait for their vector; lexical search finds them already. */
    vectorsPending: z.number().int().optional(),
    /** The question has no vector, since the model does not answer or is being changed. */
    lexicalOnly: z.literal(true).optional(),
  })
  .meta({ id: 'SearchResponse' });

export const search = operation({
  id: 'search',
  method: 'post',
  path: '/v1/search',
  role: 'reader',
  summary: 'Recall memories by text, by vector, or both, consistent with the views',
  tags: ['recall'],
  body: searchRequestSchema,
  responses: { 200: { description: 'Best first.', schema: searchResponseSchema } },
  errors: [
    'invalid_filter',
    'invalid_token',
    'invalid_as_of',
    'wrong_dimensions',
    'wrong_model',
    'not_found',
    'ambiguous_id',
    'token_of_another_log',
    'history_expired',
    'not_yet_visible',
    'storage_unavailable',
    'storage_damaged',
    'dependency_unavailable',
    'owner_moving',
    'deadline_exceeded',
  ],
});

const generationSchema = z.strictObject({
  generation: z.number().int(),
  state: z.enum(['live', 'building']),
  /** Whose vectors it holds; absent: whatever the events bring. */
  model: z.string().optional(),
  dimensions: z.number().int(),
  rows: z.number().int(),
  vectors: z.number().int(),
  vectorsPending: z.number().int(),
  partitions: z.array(
    z.strictObject({
      partition: z.number().int(),
      epoch: z.number().int(),
      /** Last offset applied, inclusive; −1: none. */
      applied: z.number().int(),
      rows: z.number().int(),
      /** Equal wherever the same events were applied, in whatever order partitions came. */
      digest: z.string(),
    }),
  ),
});

export const indexStatusSchema = z
  .strictObject({
    logId: z.string().optional(),
    /** Why the index does not follow the log at the moment. */
    problem: z.string().optional(),
    generations: z.array(generationSchema),
  })
  .meta({ id: 'IndexStatus' });

export const indexStatus = operation({
  id: 'indexStatus',
  method: 'get',
  path: '/v1/index',
  role: 'operator',
  summary: 'How far the index is, and what it holds',
  tags: ['operations'],
  responses: { 200: { description: 'Every generation of the index.', schema: indexStatusSchema } },
  errors: [],
});

export type SearchRequest = z.input<typeof searchRequestSchema>;
export type SearchResponse = z.infer<typeof searchResponseSchema>;
export type SearchHit = z.infer<typeof searchHitSchema>;
export type IndexStatus = z.infer<typeof indexStatusSchema>;
