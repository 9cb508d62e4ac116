import { z } from 'zod';
import { NAME_PATTERN } from '../names.ts';
import { operation } from '../operation.ts';
import {
  flagQuerySchema,
  READ_ERRORS,
  readAnswer,
  readQuery,
  SESSION_ERRORS,
  STORAGE_ERRORS,
  sessionQuery,
  VIEW_VERSION_WORDS,
  writeAnswer,
  writeQuery,
} from './crdt-consistency.ts';

/** The longest element of a set, as UTF-8. */
export const SET_ELEMENT_BYTES_MAX = 8 * 1024;
/** The largest value of a register, as JSON in UTF-8. */
export const REGISTER_VALUE_BYTES_MAX = 64 * 1024;
export const OP_ID_BYTES_MAX = 128;
export const CRDT_PAGE_MAX = 10_000;

const utf8 = new TextEncoder();
const bytes = (text: string) => utf8.encode(text).length;
const wellFormed = (text: string) => !/\p{Surrogate}/u.test(text);
const integer = z.number().int().min(-Number.MAX_SAFE_INTEGER).max(Number.MAX_SAFE_INTEGER);
const natural = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER);

export const crdtNameSchema = z
  .string()
  .regex(NAME_PATTERN)
  .meta({ examples: ['tasks_processed'] });
const nameParams = z.strictObject({ name: crdtNameSchema });

/** A whole number in a path or query, in plain digits. */
const numeral = (min: number, max: number) =>
  z
    .string()
    .regex(/^\d{1,16}$/)
    .transform(Number)
    .pipe(z.number().int().min(min).max(max));
const limitSchema = numeral(1, CRDT_PAGE_MAX);
const counterKindSchema = z.enum(['g', 'pn']);

export const opIdSchema = z
  .string()
  .min(1)
  .max(OP_ID_BYTES_MAX)
  .refine((id) => wellFormed(id) && bytes(id) <= OP_ID_BYTES_MAX, {
    error: `at most ${OP_ID_BYTES_MAX} bytes of UTF-8`,
  });

export const incrementRequestSchema = z
  .strictObject({
    /** May be negative for a PN-Counter. */
    by: integer,
    /**
     * Repeating a call with the same id counts once, at whichever replicas, for as long as ids are
     * remembered. A UUIDv7 that is older is refused.
     */
    opId: opIdSchema.optional(),
    /** `g`: a G-Counter, which only grows. Fixed by the first increment; `pn` by default. */
    kind: counterKindSchema.optional(),
  })
  .meta({ id: 'IncrementRequest', examples: [{ by: 1, opId: 'task-17' }] });

export const counterSchema = z
  .strictObject({
    value: integer,
    /** Present and true: this `opId` was counted before, and is not counted again. */
    duplicate: z.literal(true).optional(),
    ...readAnswer,
  })
  .meta({ id: 'Counter' });

export const incrementCounter = operation({
  id: 'incrementCounter',
  method: 'post',
  path: '/v1/counters/{name}/increments',
  role: 'writer',
  summary: 'Add to a counter; durable when answered',
  tags: ['counters'],
  params: nameParams,
  query: writeQuery,
  body: incrementRequestSchema,
  responses: {
    200: { description: 'The value after it, on this replica.', schema: counterSchema },
  },
  errors: [
    'counter_overflow',
    'wrong_type',
    'id_reused',
    'bad_opid',
    'opid_memory_full',
    'no_quorum',
    ...STORAGE_ERRORS,
  ],
});

export const getCounter = operation({
  id: 'getCounter',
  method: 'get',
  path: '/v1/counters/{name}',
  role: 'reader',
  summary: 'The value of a counter with its log-derived parts; 0 for one that nobody raised',
  tags: ['counters'],
  params: nameParams,
  query: readQuery,
  responses: { 200: { description: `The value. ${VIEW_VERSION_WORDS}`, schema: counterSchema } },
  errors: ['counter_overflow', 'wrong_type', ...READ_ERRORS, ...STORAGE_ERRORS],
});

export const listedCounterSchema = z
  .strictObject({
    name: crdtNameSchema,
    value: integer,
    kind: counterKindSchema.optional(),
    /** Of the value, what is derived from the log. */
    derived: z.strictObject({ logId: z.string(), value: integer, partitions: natural }).optional(),
  })
  .meta({ id: 'ListedCounter' });

export const listCounters = operation({
  id: 'listCounters',
  method: 'get',
  path: '/v1/counters',
  role: 'reader',
  summary: 'All counters in the order of their names, paged',
  tags: ['counters'],
  query: z.strictObject({
    limit: limitSchema.default(100),
    cursor: crdtNameSchema.optional(),
    ...sessionQuery,
  }),
  responses: {
    200: {
      description: `A page; \`nextCursor\` is absent on the last one. ${VIEW_VERSION_WORDS}`,
      schema: z
        .strictObject({
          counters: z.array(listedCounterSchema),
          nextCursor: crdtNameSchema.optional(),
          token: readAnswer.token,
        })
        .meta({ id: 'CounterPage' }),
    },
  },
  errors: ['counter_overflow', ...SESSION_ERRORS, ...STORAGE_ERRORS],
});

const resetSchema = z
  .strictObject({
    /** Whether there was something to reset. */
    reset: z.boolean(),
    ...writeAnswer,
  })
  .meta({ id: 'Reset' });
export const resetResponses = {
  200: { description: 'What this replica had seen is gone.', schema: resetSchema },
};

export const resetCounter = operation({
  id: 'resetCounter',
  method: 'delete',
  path: '/v1/counters/{name}',
  role: 'writer',
  summary:
    'Reset a counter: increments that this replica has not seen survive, log-derived parts too',
  tags: ['counters'],
  params: nameParams,
  query: writeQuery,
  responses: resetResponses,
  errors: ['wrong_type', 'no_quorum', ...STORAGE_ERRORS],
});

export const partRequestSchema = z
  .strictObject({
    logId: z.uuid(),
    epoch: natural,
    /** The last offset that `value` reflects, inclusive; −1: none. */
    offset: z.number().int().min(-1).max(Number.MAX_SAFE_INTEGER),
    value: integer,
  })
  .meta({ id: 'CounterPart' });

export const putCounterPart = operation({
  id: 'putCounterPart',
  method: 'put',
  path: '/v1/counters/{name}/partitions/{partition}',
  role: 'operator',
  summary: 'Set the part of a log-derived counter that one partition gives',
  tags: ['counters'],
  params: z.strictObject({ name: crdtNameSchema, partition: numeral(0, 4095) }),
  query: z.strictObject({
    /** Move the counter to another log; needs the operator's token in `memplane-operator-token`. */
    replaceLog: flagQuerySchema,
  }),
  body: partRequestSchema,
  responses: {
    200: {
      description: 'The higher (epoch, offset) stands.',
      schema: z
        .strictObject({
          value: integer,
          /** False: this position, or a higher one, was there already. */
          applied: z.boolean(),
        })
        .meta({ id: 'CounterPartResult' }),
    },
  },
  errors: [
    'token_of_another_log',
    'forbidden',
    'counter_overflow',
    'wrong_type',
    ...STORAGE_ERRORS,
  ],
});

export const setElementSchema = z
  .string()
  .max(SET_ELEMENT_BYTES_MAX)
  .refine((text) => wellFormed(text) && bytes(text) <= SET_ELEMENT_BYTES_MAX, {
    error: `at most ${SET_ELEMENT_BYTES_MAX} bytes of UTF-8`,
  });
const elementRequestSchema = z
  .strictObject({ element: setElementSchema })
  .meta({ id: 'SetElement', examples: [{ element: 'agent-7' }] });

export const addToSet = operation({
  id: 'addToSet',
  method: 'post',
  path: '/v1/sets/{name}/adds',
  role: 'writer',
  summary: 'Add an element; an add wins over a concurrent removal',
  tags: ['sets'],
  params: nameParams,
  query: writeQuery,
  body: elementRequestSchema,
  responses: {
    200: {
      description: 'Durable.',
      schema: z.strictObject({ added: z.boolean(), ...writeAnswer }).meta({ id: 'SetAdded' }),
    },
  },
  errors: ['wrong_type', 'no_quorum', ...STORAGE_ERRORS],
});

export const removeFromSet = operation({
  id: 'removeFromSet',
  method: 'post',
  path: '/v1/sets/{name}/removes',
  role: 'writer',
  summary: 'Remove an element as far as this replica has seen it added',
  tags: ['sets'],
  params: nameParams,
  query: writeQuery,
  body: elementRequestSchema,
  responses: {
    200: {
      description: 'Durable.',
      schema: z.strictObject({ removed: z.boolean(), ...writeAnswer }).meta({ id: 'SetRemoved' }),
    },
  },
  errors: ['wrong_type', 'no_quorum', ...STORAGE_ERRORS],
});

export const getSet = operation({
  id: 'getSet',
  method: 'get',
  path: '/v1/sets/{name}',
  role: 'reader',
  summary: 'The elements in the order of their bytes, paged; none for a set that nobody added to',
  tags: ['sets'],
  params: nameParams,
  query: readQuery.extend({
    limit: limitSchema.default(CRDT_PAGE_MAX),
    cursor: setElementSchema.optional(),
  }),
  responses: {
    200: {
      description: `A page; \`nextCursor\` is absent on the last one. ${VIEW_VERSION_WORDS}`,
      schema: z
        .strictObject({
          elements: z.array(z.string()),
          nextCursor: z.string().optional(),
          ...readAnswer,
        })
        .meta({ id: 'SetPage' }),
    },
  },
  errors: ['wrong_type', ...READ_ERRORS, ...STORAGE_ERRORS],
});

export const resetSet = operation({
  id: 'resetSet',
  method: 'delete',
  path: '/v1/sets/{name}',
  role: 'writer',
  summary: 'Reset a set: adds that this replica has not seen survive',
  tags: ['sets'],
  params: nameParams,
  query: writeQuery,
  responses: resetResponses,
  errors: ['wrong_type', 'no_quorum', ...STORAGE_ERRORS],
});

export const registerSchema = z
  .strictObject({
    value: z.json(),
    /** The stamp of the write that won, and the replica that it was made at. */
    hlc: z.string(),
    replica: z.string(),
    ...readAnswer,
  })
  .meta({ id: 'Register' });

export const putRegister = operation({
  id: 'putRegister',
  method: 'put',
  path: '/v1/registers/{name}',
  role: 'writer',
  summary: 'Write a register; the last write wins, by hybrid logical stamp, then by replica id',
  tags: ['registers'],
  params: nameParams,
  query: writeQuery,
  body: z.strictObject({ value: z.json() }).meta({ id: 'RegisterWrite' }),
  responses: { 200: { description: 'What it holds now.', schema: registerSchema } },
  errors: ['wrong_type', 'no_quorum', ...STORAGE_ERRORS],
});

export const getRegister = operation({
  id: 'getRegister',
  method: 'get',
  path: '/v1/registers/{name}',
  role: 'reader',
  summary: 'What a register holds',
  tags: ['registers'],
  params: nameParams,
  query: readQuery,
  responses: {
    200: { description: `The last write. ${VIEW_VERSION_WORDS}`, schema: registerSchema },
  },
  errors: ['not_found', 'wrong_type', ...READ_ERRORS, ...STORAGE_ERRORS],
});

export const resetRegister = operation({
  id: 'resetRegister',
  method: 'delete',
  path: '/v1/registers/{name}',
  role: 'writer',
  summary: 'Reset a register: a write that this replica has not seen survives',
  tags: ['registers'],
  params: nameParams,
  query: writeQuery,
  responses: resetResponses,
  errors: ['wrong_type', 'no_quorum', ...STORAGE_ERRORS],
});

const replicaSetSchema = z
  .strictObject({
    /** Counts up with each change; 0 where it is what the settings say, or not known yet. */
    version: natural,
    replicas: z.array(z.string()),
    /** Whether it is known here; until then nothing has a quorum. */
    known: z.boolean(),
    /** Whether the last change is over, so that there may be another one. */
    settled: z.boolean(),
    /** Who has not confirmed that change. */
    unconfirmed: z.array(z.string()),
  })
  .meta({ id: 'ReplicaSet' });

export const getMembers = operation({
  id: 'getMembers',
  method: 'get',
  path: '/v1/members',
  role: 'operator',
  summary: 'The replicas of the CRDTs as this one sees them',
  tags: ['operations'],
  responses: {
    200: {
      description: 'Membership with its view version.',
      schema: z
        .strictObject({
          /** Raised whenever this replica sees the membership change. */
          viewVersion: natural,
          /** How many replicas a quorum read needs. */
          quorum: natural,
          /** Of which replicas quorums are majorities. */
          replicaSet: replicaSetSchema,
          members: z.array(
            z.strictObject({
              replica: z.string(),
              self: z.boolean(),
              state: z.enum(['alive', 'suspect', 'dead', 'left']),
              /** Under which dots of its mutations are given out; empty until it was heard. */
              incarnation: z.string(),
              /** Of its own view; 0 until it was heard. */
              viewVersion: natural,
              /** Where it is reached, in a cluster. */
              address: z.string().optional(),
              /** Whether it counts for quorums, in a cluster. */
              replicaSet: z.boolean().optional(),
              /** Milliseconds since its last heartbeat, of another one that was heard. */
              heardMs: natural.optional(),
            }),
          ),
        })
        .meta({ id: 'Members' }),
    },
  },
  errors: [],
});

export const replicaIdSchema = z
  .string()
  .regex(NAME_PATTERN)
  .meta({ examples: ['replica-2'] });

const REPLICA_SET_ERRORS = ['forbidden', 'replica_set_changing', 'no_quorum'] as const;

export const forgetMember = operation({
  id: 'forgetMember',
  method: 'post',
  path: '/v1/members/{replica}/forget',
  role: 'operator',
  summary:
    "Forget a replica for good: all others refuse it; needs the operator's token in `memplane-operator-token`",
  tags: ['operations'],
  params: z.strictObject({ replica: replicaIdSchema }),
  responses: {
    200: {
      description: 'It is forgotten here, durably, and by each other replica as it hears of it.',
      schema: z
        .strictObject({
          /** All that are forgotten. */
          forgotten: z.array(z.string()),
        })
        .meta({ id: 'Forgotten' }),
    },
  },
  errors: [...REPLICA_SET_ERRORS, 'not_found', 'overloaded', 'storage_full', 'storage_unavailable'],
});

const replicaSetAnswer = {
  description: 'The replica set; `settled` once a majority of it has confirmed the change.',
  schema: replicaSetSchema,
};

export const addReplica = operation({
  id: 'addReplica',
  method: 'put',
  path: '/v1/replica-set/{replica}',
  role: 'operator',
  summary:
    "Count a replica that lives for quorums; needs the operator's token in `memplane-operator-token`",
  tags: ['operations'],
  params: z.strictObject({ replica: replicaIdSchema }),
  responses: { 200: replicaSetAnswer },
  errors: [...REPLICA_SET_ERRORS, 'not_found', 'not_implemented', 'overloaded'],
});

export const removeReplica = operation({
  id: 'removeReplica',
  method: 'delete',
  path: '/v1/replica-set/{replica}',
  role: 'operator',
  summary:
    "Count a replica for quorums no more; needs the operator's token in `memplane-operator-token`",
  tags: ['operations'],
  params: z.strictObject({ replica: replicaIdSchema }),
  responses: { 200: replicaSetAnswer },
  errors: [...REPLICA_SET_ERRORS, 'not_implemented'],
});

export const crdtAlertSchema = z
  .strictObject({
    /** RFC 3339. */
    time: z.string(),
    code: z.string(),
    detail: z.string(),
    /** The value that it is about, e.g. `counter/tasks_processed`. */
    subject: z.string().optional(),
    /** How often it was raised since `time`. */
    count: natural,
    /** RFC 3339; present once what it is about is well again. */
    clearedAt: z.string().optional(),
  })
  .meta({ id: 'CrdtAlert' });

export const getAlerts = operation({
  id: 'getAlerts',
  method: 'get',
  path: '/v1/alerts',
  role: 'operator',
  summary: 'What an operator should look at, newest first; kept over restarts',
  tags: ['operations'],
  responses: {
    200: {
      description: 'Alerts, bounded.',
      schema: z.strictObject({ alerts: z.array(crdtAlertSchema) }).meta({ id: 'CrdtAlerts' }),
    },
  },
  errors: [],
});

export type IncrementRequest = z.input<typeof incrementRequestSchema>;
export type CounterPart = z.input<typeof partRequestSchema>;
export type ListedCounter = z.infer<typeof listedCounterSchema>;
export type CrdtAlert = z.infer<typeof crdtAlertSchema>;
