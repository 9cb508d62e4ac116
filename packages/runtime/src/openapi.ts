import { ERROR_CODES, type ErrorCode, type Operation } from '@memplane/contracts';
import { z } from 'zod';
import { createDocument, type ZodOpenApiPathsObject } from 'zod-openapi';
import { PROBLEM_MEDIA_TYPE } from './problem.ts';

const problemSchema = z
  .looseObject({
    type: z.string(),
    title: z.string(),
    status: z.number().int(),
    detail: z.string(),
    code: z.string(),
    transient: z.boolean(),
    field: z.string().optional(),
  })
  .meta({ id: 'Problem', description: 'RFC 9457 problem details.' });

/** Codes that any operation may answer. */
const COMMON_ERRORS: readonly ErrorCode[] = [
  'invalid_request',
  'invalid_json',
  'invalid_encoding',
  'unauthorized',
  'forbidden',
  'headers_too_large',
  'overloaded',
  'quota_exceeded',
  'shutting_down',
  'deadline_exceeded',
  'internal',
];
const BODY_ERRORS: readonly ErrorCode[] = [
  'forbidden_key',
  'too_deep',
  'body_too_large',
  'unsupported_media_type',
];

export interface OpenApiInfo {
  readonly title: string;
  readonly version: string;
  readonly description: string;
  /** Whether calls need a bearer token. */
  readonly secured: boolean;
}

/** Generates the OpenAPI 3.1 document from the very operations that validate. */
export function openApiDocument(operations: readonly Operation[], info: OpenApiInfo): unknown {
  const paths: Record<string, Record<string, unknown>> = {};
  for (const op of operations) {
    const item = paths[op.path] ?? {};
    paths[op.path] = item;
    item[op.method] = {
      operationId: op.id,
      summary: op.summary,
      ...(op.tags ? { tags: [...op.tags] } : {}),
      ...(op.role ? { 'x-memplane-role': op.role } : {}),
      requestParams: {
        ...(op.params ? { path: op.params } : {}),
        ...(op.query ? { query: op.query } : {}),
      },
      ...(op.body
        ? { requestBody: { required: true, content: { 'application/json': { schema: op.body } } } }
        : {}),
      responses: { ...successes(op), ...problems(op) },
    };
  }
  return createDocument({
    openapi: '3.1.0',
    info: { title: info.title, version: info.version, description: info.description },
    ...(info.secured
      ? {
          components: { securitySchemes: { token: { type: 'http', scheme: 'bearer' } } },
          security: [{ token: [] }],
        }
      : {}),
    paths: paths as ZodOpenApiPathsObject,
  });
}

function successes(op: Operation): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(op.responses).map(([status, response]) => {
      const content: Record<string, unknown> = {};
      if (response.schema) content['application/json'] = { schema: response.schema };
      for (const type of response.mediaTypes ?? []) content[type] = { schema: z.string() };
      const hasContent = Object.keys(content).length > 0;
      return [status, { description: response.description, ...(hasContent ? { content } : {}) }];
    }),
  );
}

function problems(op: Operation): Record<string, unknown> {
  const codes = new Set([...COMMON_ERRORS, ...(op.body ? BODY_ERRORS : []), ...op.errors]);
  const byStatus = new Map<number, ErrorCode[]>();
  for (const code of codes) {
    const { status } = ERROR_CODES[code];
    byStatus.set(status, [...(byStatus.get(status) ?? []), code]);
  }
  return Object.fromEntries(
    [...byStatus].map(([status, list]) => [
      status,
      {
        description: list.map((code) => `\`${code}\`: ${ERROR_CODES[code].title}`).join('; '),
        content: { [PROBLEM_MEDIA_TYPE]: { schema: problemSchema } },
      },
    ]),
  );
}
