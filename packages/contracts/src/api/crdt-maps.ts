import { z } from 'zod';
import { operation } from '../operation.ts';
import {
  READ_ERRORS,
  readAnswer,
  readQuery,
  STORAGE_ERRORS,
  VIEW_VERSION_WORDS,
  writeAnswer,
  writeQuery,
} from './crdt-consistency.ts';
import { crdtNameSchema, resetResponses, setElementSchema } from './crdt-sync.ts';

/** Names in the path of a field. */
export const MAP_PATH_NAMES_MAX = 8;

const nameParams = z.strictObject({ name: crdtNameSchema });
const integer = z.number().int().min(-Number.MAX_SAFE_INTEGER).max(Number.MAX_SAFE_INTEGER);
const pathSchema = z
  .array(crdtNameSchema)
  .min(1)
  .max(MAP_PATH_NAMES_MAX)
  .meta({
    description: 'Names from the outermost map to the field; all but the last are of maps within.',
    examples: [['agents', '7', 'steps']],
  });
const WRITE_ERRORS = ['wrong_type', 'body_too_large', 'no_quorum', ...STORAGE_ERRORS] as const;

const changeOf = {
  method: 'post',
  role: 'writer',
  tags: ['maps'],
  params: nameParams,
  query: writeQuery,
} as const;

export const incrementMapField = operation({
  ...changeOf,
  id: 'incrementMapField',
  path: '/v1/maps/{name}/increments',
  summary: 'Add to a counter in a map; durable when answered. It takes no operation ids',
  body: z
    .strictObject({ path: pathSchema, by: integer })
    .meta({ id: 'MapIncrement', examples: [{ path: ['agents', '7', 'steps'], by: 1 }] }),
  responses: {
    200: {
      description: 'The value after it, on this replica.',
      schema: z.strictObject({ value: integer, ...writeAnswer }).meta({ id: 'MapIncremented' }),
    },
  },
  errors: ['counter_overflow', ...WRITE_ERRORS],
});

const elementRequestSchema = z
  .strictObject({ path: pathSchema, element: setElementSchema })
  .meta({ id: 'MapElement', examples: [{ path: ['agents', '7', 'skills'], element: 'search' }] });

export const addToMapField = operation({
  ...changeOf,
  id: 'addToMapField',
  path: '/v1/maps/{name}/adds',
  summary: 'Add an element to a set in a map; an add wins over a concurrent removal',
  body: elementRequestSchema,
  responses: {
    200: {
      description: 'Durable.',
      schema: z.strictObject({ added: z.boolean(), ...writeAnswer }).meta({ id: 'MapAdded' }),
    },
  },
  errors: WRITE_ERRORS,
});

const removedSchema = z
  .strictObject({
    /** Whether there was something to remove. */
    removed: z.boolean(),
    ...writeAnswer,
  })
  .meta({ id: 'MapRemoved' });

export const removeFromMapField = operation({
  ...changeOf,
  id: 'removeFromMapField',
  path: '/v1/maps/{name}/removes',
  summary: 'Remove an element from a set in a map, as far as this replica has seen it added',
  body: elementRequestSchema,
  responses: { 200: { description: 'Durable.', schema: removedSchema } },
  errors: ['wrong_type', 'no_quorum', ...STORAGE_ERRORS],
});

const fieldWrite = {
  value: z.json(),
  /** The stamp of the write that won, and the replica that it was made at. */
  hlc: z.string(),
  replica: z.string(),
};

export const writeMapField = operation({
  ...changeOf,
  id: 'writeMapField',
  path: '/v1/maps/{name}/writes',
  summary: 'Write a register in a map; the last write wins, by hybrid logical stamp, then replica',
  body: z.strictObject({ path: pathSchema, value: z.json() }).meta({ id: 'MapWrite' }),
  responses: {
    200: {
      description: 'What the register holds now.',
      schema: z.strictObject({ ...fieldWrite, ...writeAnswer }).meta({ id: 'MapWritten' }),
    },
  },
  errors: WRITE_ERRORS,
});

export const removeMapField = operation({
  ...changeOf,
  id: 'removeMapField',
  path: '/v1/maps/{name}/removals',
  summary:
    'Remove a field with all that this replica has seen of it; what it has not seen survives',
  body: z
    .strictObject({ path: pathSchema, type: z.enum(['counter', 'set', 'register', 'map']) })
    .meta({ id: 'MapRemoval', examples: [{ path: ['agents', '7'], type: 'map' }] }),
  responses: { 200: { description: 'Durable.', schema: removedSchema } },
  errors: ['wrong_type', 'no_quorum', ...STORAGE_ERRORS],
});

const path = z.array(z.string());
export const mapFieldSchema = z
  .discriminatedUnion('type', [
    z.strictObject({ type: z.literal('counter'), path, value: integer }),
    z.strictObject({ type: z.literal('set'), path, elements: z.array(z.string()) }),
    z.strictObject({ type: z.literal('register'), path, ...fieldWrite }),
  ])
  .meta({ id: 'MapField' });

export const getMap = operation({
  id: 'getMap',
  method: 'get',
  path: '/v1/maps/{name}',
  role: 'reader',
  summary: 'All fields of a map and of the maps within; none for one that nobody wrote to',
  tags: ['maps'],
  params: nameParams,
  query: readQuery,
  responses: {
    200: {
      description: `A name that several types were used under comes with each. ${VIEW_VERSION_WORDS}`,
      schema: z
        .strictObject({ fields: z.array(mapFieldSchema), ...readAnswer })
        .meta({ id: 'MapContents' }),
    },
  },
  errors: ['counter_overflow', 'wrong_type', ...READ_ERRORS, ...STORAGE_ERRORS],
});

export const resetMap = operation({
  id: 'resetMap',
  method: 'delete',
  path: '/v1/maps/{name}',
  role: 'writer',
  summary: 'Reset a map: changes that this replica has not seen survive',
  tags: ['maps'],
  params: nameParams,
  query: writeQuery,
  responses: resetResponses,
  errors: ['wrong_type', 'no_quorum', ...STORAGE_ERRORS],
});
