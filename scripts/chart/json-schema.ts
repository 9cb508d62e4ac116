/** Short words for the JSON Schema (draft 7, which Helm reads) of the chart's values. */
export interface Schema {
  readonly description?: string;
  readonly type?: string | readonly string[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly [keyword: string]: unknown;
}

/** Knows no properties but these, and needs all of them: the chart has a default for each. */
export function closed(description: string, properties: Record<string, Schema>): Schema {
  return {
    description,
    type: 'object',
    additionalProperties: false,
    required: Object.keys(properties),
    properties,
  };
}

export const bool = (description: string): Schema => ({ description, type: 'boolean' });

export function whole(description: string, minimum: number, maximum: number): Schema {
  return { description, type: 'integer', minimum, maximum };
}

/** @param pattern what the whole text must match; without one any text will do */
export function string(description: string, pattern?: string): Schema {
  return { description, type: 'string', ...(pattern === undefined ? {} : { pattern }) };
}

export function choice(description: string, values: readonly string[]): Schema {
  return { description, type: 'string', enum: values };
}

export function list(description: string, items: Schema): Schema {
  return { description, type: 'array', items, uniqueItems: true };
}

/** Names and texts, as of labels. */
export function texts(description: string): Schema {
  return { description, type: 'object', additionalProperties: { type: 'string' } };
}

/** Something that Kubernetes itself checks when it is applied, e.g. a toleration. */
export function kubernetes(description: string): Schema {
  return { description, type: 'array', items: { type: 'object' } };
}
