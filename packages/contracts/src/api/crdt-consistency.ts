import { z } from 'zod';
import { LIMITS } from '../limits.ts';
import { digits } from './materializer.ts';

/** The longest text of tokens in a query: path and headers share 16 KiB. */
const TOKENS_LENGTH_MAX = 15 * 1024;

export const flagQuerySchema = z
  .enum(['true', 'false'])
  .default('false')
  .transform((text) => text === 'true');

const tokensSchema = z.string().min(1).max(TOKENS_LENGTH_MAX);

/** What reads of counters, sets and registers take, whatever they read. */
export const sessionQuery = {
  after: z
    .union([tokensSchema, z.array(tokensSchema).min(1).max(LIMITS.tokens_per_read_max)])
    .transform((given) => [given].flat().flatMap((text) => text.split(',')))
    .pipe(z.array(z.string()).max(LIMITS.tokens_per_read_max))
    .optional()
    .meta({
      description:
        'Tokens (`mct_…`), comma-separated or repeated, of whatever replicas: the answer includes ' +
        'all that they stand for, or is 503 `not_yet_visible`.',
    }),
  waitMs: digits(0, LIMITS.wait_ms_max)
    .optional()
    .meta({
      override: { type: 'integer', minimum: 0, maximum: LIMITS.wait_ms_max },
      description: 'How long to wait for `after`, in ms; by default what MEMPLANE_WAIT_MS says.',
    }),
  token: flagQuerySchema.meta({
    description: 'Whether the answer has a token for later reads, at this replica or another.',
  }),
};

export const readQuery = z.strictObject({
  read: z
    .enum(['local', 'quorum'])
    .default('local')
    .meta({
      description:
        '`local`: what this replica has. `quorum`: what a majority of the replica set has, joined, ' +
        'and written back to a majority before it is answered, so that quorum reads never go back. ' +
        'It has all that a majority has (all of `write=quorum`); writes that only other replicas ' +
        'have as yet may be missing. Without a majority: 503 `no_quorum`.',
    }),
  ...sessionQuery,
});

export const writeQuery = z.strictObject({
  write: z
    .enum(['local', 'quorum'])
    .default('local')
    .meta({
      description:
        '`local`: durable at this replica when answered. `quorum`: durable at a majority of the ' +
        'replica set; where none confirms in time, 503 `no_quorum`: the write is durable here all ' +
        'the same, spreads, and is not undone.',
    }),
  token: flagQuerySchema.meta({
    description: 'Whether the answer has a token, for reads that are to include this write.',
  }),
});

const tokenSchema = z.string().optional().meta({
  description: 'Where asked for with `token=true`.',
});

export const quorumSchema = z
  .strictObject({
    /** The replicas whose states were joined; local writes of the others may be missing. */
    replicas: z.array(z.string()),
    /** How many replicas there are in the set. */
    of: z.number().int().min(1),
  })
  .meta({
    id: 'ReadQuorum',
    description:
      'Of a quorum read: which replicas were read, of how many. Writes that only others have as yet ' +
      'may be missing.',
  });

/** What every answer to a read may have besides. */
export const readAnswer = { quorum: quorumSchema.optional(), token: tokenSchema };
export const writeAnswer = { token: tokenSchema };

/** Of every read's 200. */
export const VIEW_VERSION_WORDS =
  'The header `memplane-view-version` is the version of the membership as this replica sees it.';

/** Codes that several operations may answer. */
export const STORAGE_ERRORS = ['storage_full', 'storage_unavailable', 'storage_damaged'] as const;
export const SESSION_ERRORS = ['invalid_token', 'not_yet_visible'] as const;
export const READ_ERRORS = ['no_quorum', ...SESSION_ERRORS] as const;
