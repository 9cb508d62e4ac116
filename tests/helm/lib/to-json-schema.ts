/** JSON Schema, and the OpenAPI schemas that become it. */
export interface JsonSchema {
  [keyword: string]: unknown;
  type?: string | string[];
  properties?: Record<string, JsonSchema>;
  additionalProperties?: boolean | JsonSchema;
  items?: JsonSchema;
  $ref?: string;
}

export interface Kind {
  readonly group: string;
  readonly kind: string;
  readonly version: string;
  readonly schema: JsonSchema;
}

interface Swagger {
  readonly definitions: Readonly<Record<string, JsonSchema>>;
}

interface GroupVersionKind {
  readonly group: string;
  readonly kind: string;
  readonly version: string;
}

const PREFIX = '#/definitions/';

/** Every kind of Kubernetes' own API, each with the definitions that it needs. */
export function kindsOfKubernetes({ definitions }: Swagger): Kind[] {
  return Object.entries(definitions).flatMap(([name, definition]) => {
    const kinds = (definition['x-kubernetes-group-version-kind'] ?? []) as GroupVersionKind[];
    // Those of all groups at once, e.g. DeleteOptions, are no resources.
    if (kinds.length !== 1) return [];
    const needed: Record<string, JsonSchema> = {};
    collect(name, definitions, needed);
    const [{ group, kind, version } = { group: '', kind: '', version: '' }] = kinds;
    const own = needed[name] ?? {};
    delete needed[name];
    const schema = {
      ...own,
      required: ['apiVersion', 'kind', 'metadata'],
      definitions: needed,
    };
    return [{ group, kind, version, schema }];
  });
}

/** Every served version of a CustomResourceDefinition; of any other document none. */
export function kindsOfDefinition(document: Record<string, unknown>): Kind[] {
  if (document['kind'] !== 'CustomResourceDefinition') return [];
  const { group, names, versions } = document['spec'] as {
    group: string;
    names: { kind: string };
    versions: { name: string; served: boolean; schema: { openAPIV3Schema: JsonSchema } }[];
  };
  return versions
    .filter(({ served }) => served)
    .map(({ name, schema: { openAPIV3Schema } }) => {
      const schema = closed(openAPIV3Schema);
      // The API server's own, whatever the definition says of it.
      schema.properties = { ...schema.properties, metadata: { type: 'object' } };
      for (const field of ['apiVersion', 'kind']) schema.properties[field] ??= { type: 'string' };
      return {
        ...{ group, kind: names.kind, version: name },
        schema: { ...schema, required: ['apiVersion', 'kind', 'metadata'] },
      };
    });
}

function collect(
  name: string,
  all: Readonly<Record<string, JsonSchema>>,
  into: Record<string, JsonSchema>,
): void {
  if (into[name] !== undefined) return;
  const definition = all[name] ?? {};
  into[name] = special(name) ?? closed(definition);
  for (const ref of refsOf(into[name])) collect(ref.slice(PREFIX.length), all, into);
}

/** Types that are written in several ways. */
function special(name: string): JsonSchema | undefined {
  if (name.endsWith('.intstr.IntOrString')) return { type: ['integer', 'string'] };
  if (name.endsWith('.resource.Quantity')) return { type: ['number', 'string'] };
  return undefined;
}

function refsOf(schema: unknown): string[] {
  if (Array.isArray(schema)) return schema.flatMap(refsOf);
  if (typeof schema !== 'object' || schema === null) return [];
  return Object.entries(schema).flatMap(([key, value]) =>
    key === '$ref' && typeof value === 'string' ? [value] : refsOf(value),
  );
}

/** The same schema, in which objects have no fields but those that it names. */
function closed(schema: JsonSchema): JsonSchema {
  const made: JsonSchema = {};
  for (const [key, value] of Object.entries(schema)) {
    if (key === 'description' || key === 'default' || key.startsWith('x-kubernetes-')) continue;
    made[key] = value;
  }
  if (schema['x-kubernetes-int-or-string'] === true) return { type: ['integer', 'string'] };
  const isOpen = schema['x-kubernetes-preserve-unknown-fields'] === true;
  if (schema.properties !== undefined) {
    made.properties = Object.fromEntries(
      Object.entries(schema.properties).map(([name, inner]) => [name, closed(inner)]),
    );
    if (schema.additionalProperties === undefined && !isOpen) made.additionalProperties = false;
  }
  if (schema.items !== undefined) made.items = closed(schema.items);
  if (typeof schema.additionalProperties === 'object') {
    made.additionalProperties = closed(schema.additionalProperties);
  }
  if (schema['nullable'] === true && typeof made.type === 'string') {
    made.type = [made.type, 'null'];
    delete made['nullable'];
  }
  return made;
}
