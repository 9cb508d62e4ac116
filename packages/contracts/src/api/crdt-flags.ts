import { z } from 'zod';
import { operation } from '../operation.ts';
import {
  READ_ERRORS,
  readAnswer,
  readQuery,
  STORAGE_ERRORS,
  VIEW_VERSION_WORDS,
  writeQuery,
} from './crdt-consistency.ts';
import { crdtNameSchema } from './crdt-sync.ts';

const nameParams = z.strictObject({ name: crdtNameSchema });

export const flagSchema = z
  .strictObject({
    /** Whether a majority of the replica set has voted. Once true, it stays so. */
    value: z.boolean(),
    /** Replicas of the set that have voted, as far as is known here. */
    votes: z.number().int().min(0),
    /** Replicas of the set. */
    of: z.number().int().min(1),
    ...readAnswer,
  })
  .meta({ id: 'Flag', examples: [{ value: true, votes: 2, of: 3 }] });

export const voteForFlag = operation({
  id: 'voteForFlag',
  method: 'put',
  path: '/v1/flags/{name}/votes',
  role: 'writer',
  summary: 'The replica that is asked votes for a flag, for good; a repetition changes nothing',
  tags: ['flags'],
  params: nameParams,
  query: writeQuery,
  responses: { 200: { description: 'The flag with the vote; durable.', schema: flagSchema } },
  errors: ['no_quorum', ...STORAGE_ERRORS],
});

export const getFlag = operation({
  id: 'getFlag',
  method: 'get',
  path: '/v1/flags/{name}',
  role: 'reader',
  summary:
    'Whether a majority of the replica set has voted for a flag; false for one without votes',
  tags: ['flags'],
  params: nameParams,
  query: readQuery,
  responses: { 200: { description: `The flag. ${VIEW_VERSION_WORDS}`, schema: flagSchema } },
  errors: [...READ_ERRORS, ...STORAGE_ERRORS],
});
