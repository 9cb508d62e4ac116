import { z } from 'zod';
import { operation } from '../operation.ts';
import { acceptedEventSchema, eventToAppendSchema } from './event-ingest.ts';
import { digits } from './materializer.ts';

export const DEAD_LETTERS_LIMIT_MAX = 100;

const place = {
  partition: z.number().int().min(0).max(4095),
  offset: z.number().int().min(0).max(Number.MAX_SAFE_INTEGER),
};

const reasonSchema = z
  .strictObject({
    code: z.string().meta({ description: 'A code of the plane; `unknown` for what others wrote.' }),
    detail: z.string(),
    field: z.string().optional(),
  })
  .meta({ id: 'DeadLetterReason' });

/** The `data` of a message of `agent-inbox-dead`. */
export const storedDeadLetterSchema = z
  .looseObject({
    formatVersion: z.literal(1),
    reason: reasonSchema,
    topic: z.string().meta({ description: 'Where the message was, with its place there.' }),
    key: z.string().optional(),
    partition: z.number().int().optional(),
    offset: z.number().int().optional(),
    timestampMs: z.number().int().optional(),
    deadAt: z.string(),
    base64: z.string().meta({ description: 'The whole message, byte for byte.' }),
  })
  .meta({ id: 'StoredDeadLetter' });

export const deadLetterSchema = z
  .strictObject({
    ...place,
    reason: reasonSchema,
    deadAt: z.string(),
    from: z.strictObject({
      topic: z.string(),
      partition: z.number().int().optional(),
      offset: z.number().int().optional(),
    }),
    key: z.string().optional(),
    bytes: z.number().int().meta({ description: 'Of the whole message.' }),
    text: z.string().optional().meta({ description: 'Its beginning, at most 4 KiB.' }),
    base64: z.string().optional().meta({ description: 'The same, where it is no UTF-8.' }),
    redrivenAt: z.string().optional(),
  })
  .meta({ id: 'DeadLetter' });

export const deadLettersAnswerSchema = z.strictObject({
  deadLetters: z.array(deadLetterSchema),
  next: z.string().optional().meta({ description: 'The cursor of the next page.' }),
  isRedrivenKnown: z.boolean().meta({ description: 'Whether `redrivenAt` could be looked up.' }),
});

export const listDeadLetters = operation({
  id: 'listDeadLetters',
  method: 'get',
  path: '/v1/dead-letters',
  role: 'operator',
  summary: 'Messages of agent-inbox that could never be appended, oldest first',
  tags: ['dead letters'],
  query: z.strictObject({
    cursor: z.string().max(64).optional(),
    limit: digits(1, DEAD_LETTERS_LIMIT_MAX).optional().meta({ description: 'Default 50.' }),
  }),
  responses: { 200: { description: 'A page of them.', schema: deadLettersAnswerSchema } },
  errors: ['invalid_cursor', 'dependency_unavailable'],
});

export const redriveResultSchema = z.strictObject({
  ...place,
  outcome: z.enum(['appended', 'duplicate', 'refused']),
  accepted: acceptedEventSchema.optional(),
  reason: reasonSchema.optional(),
});

export const redriveDeadLetters = operation({
  id: 'redriveDeadLetters',
  method: 'post',
  path: '/v1/dead-letters/redrives',
  role: 'operator',
  summary: 'Append dead letters after all, each at a new position',
  tags: ['dead letters'],
  body: z.strictObject({
    deadLetters: z
      .array(
        z.strictObject({
          ...place,
          event: eventToAppendSchema.optional().meta({
            description: 'Takes the place of what the message holds.',
          }),
        }),
      )
      .min(1)
      .max(DEAD_LETTERS_LIMIT_MAX),
  }),
  responses: {
    200: {
      description: 'What became of each, in the order of the request.',
      schema: z.strictObject({ results: z.array(redriveResultSchema) }),
    },
  },
  errors: ['dependency_unavailable', 'storage_unavailable'],
});

export type DeadLettersAnswer = z.infer<typeof deadLettersAnswerSchema>;
export type RedriveResult = z.infer<typeof redriveResultSchema>;
