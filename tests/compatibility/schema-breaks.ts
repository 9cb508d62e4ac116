/** The part of JSON Schema that the contracts use. */
export interface Schema {
  readonly $ref?: string;
  readonly type?: string | readonly string[];
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly anyOf?: readonly Schema[];
  readonly oneOf?: readonly Schema[];
  readonly allOf?: readonly Schema[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: boolean | Schema;
  readonly items?: Schema;
  readonly [keyword: string]: unknown;
}

/** A schema with the document that its references are of. */
export interface Placed {
  readonly schema: Schema;
  readonly root: unknown;
}

/** Who writes what the schema describes: callers give inputs, the plane outputs. */
export type Direction = 'input' | 'output';

const LOWER_BOUNDS = ['minimum', 'minLength', 'minItems', 'minProperties', 'exclusiveMinimum'];
const UPPER_BOUNDS = ['maximum', 'maxLength', 'maxItems', 'maxProperties', 'exclusiveMaximum'];

/**
 * What a caller of the released version would stumble over: an input that was taken and is refused,
 * an output that was told and is not, or otherwise. More inputs and more outputs are no break.
 */
export function schemaBreaks(
  released: Placed,
  current: Placed,
  direction: Direction,
  at: string,
  seen: ReadonlySet<string> = new Set(),
): string[] {
  const key = `${released.schema.$ref} ${current.schema.$ref}`;
  if (released.schema.$ref !== undefined && seen.has(key)) return [];
  const within = new Set(seen).add(key);
  const [before, now] = [resolve(released), resolve(current)];
  const into = (a: Schema, b: Schema, where: string) =>
    schemaBreaks({ ...released, schema: a }, { ...current, schema: b }, direction, where, within);
  const choices = alternativesOf(before);
  if (choices !== undefined || alternativesOf(now) !== undefined) {
    const others = alternativesOf(now) ?? [now];
    return (choices ?? [before]).flatMap((choice, i) =>
      leastOf(others.map((it) => into(choice, it, `${at}|${i}`))),
    );
  }
  return [
    ...valueBreaks(before, now, direction, at),
    ...(before.properties === undefined ? [] : propertyBreaks(before, now, direction, at, into)),
    ...(before.items === undefined || now.items === undefined
      ? []
      : into(before.items, now.items, `${at}[]`)),
  ];
}

type Into = (before: Schema, now: Schema, at: string) => string[];

function propertyBreaks(
  before: Schema,
  now: Schema,
  direction: Direction,
  at: string,
  into: Into,
): string[] {
  const breaks: string[] = [];
  for (const [name, schema] of Object.entries(before.properties ?? {})) {
    const other = now.properties?.[name];
    if (other !== undefined) breaks.push(...into(schema, other, `${at}.${name}`));
    else if (direction === 'output' || now.additionalProperties === false) {
      breaks.push(`${at}.${name}: the field is gone`);
    }
  }
  const wasRequired = new Set(before.required);
  const isRequired = new Set(now.required);
  if (direction === 'input') {
    for (const name of isRequired) {
      if (!wasRequired.has(name)) breaks.push(`${at}.${name}: the field is required now`);
    }
  } else {
    for (const name of wasRequired) {
      const isThere = now.properties?.[name] !== undefined;
      if (isThere && !isRequired.has(name))
        breaks.push(`${at}.${name}: the field may be missing now`);
    }
  }
  return breaks;
}

function valueBreaks(before: Schema, now: Schema, direction: Direction, at: string): string[] {
  const [from, to] = direction === 'input' ? [before, now] : [now, before];
  const breaks: string[] = [];
  // All that `from` may be, `to` must allow.
  const types = [to.type ?? []].flat();
  const lost = [from.type ?? []]
    .flat()
    .filter((it) => !types.includes(it) && !(it === 'integer' && types.includes('number')));
  if (types.length > 0 && lost.length > 0)
    breaks.push(`${at}: the type was ${before.type}, is ${now.type}`);
  if (direction === 'input') {
    const gone = valuesOf(before)?.filter((value) => !(valuesOf(now) ?? [value]).includes(value));
    if (gone !== undefined && gone.length > 0)
      breaks.push(`${at}: ${gone.join(', ')} is not taken any more`);
    if (valuesOf(before) === undefined && valuesOf(now) !== undefined)
      breaks.push(`${at}: only some values are taken now`);
    for (const bound of LOWER_BOUNDS)
      if (boundOf(now, bound, -Infinity) > boundOf(before, bound, -Infinity))
        breaks.push(`${at}: ${bound} is higher`);
    for (const bound of UPPER_BOUNDS)
      if (boundOf(now, bound, Infinity) < boundOf(before, bound, Infinity))
        breaks.push(`${at}: ${bound} is lower`);
    if (now['pattern'] !== undefined && now['pattern'] !== before['pattern'])
      breaks.push(`${at}: the pattern is another`);
  }
  return breaks;
}

function boundOf(schema: Schema, bound: string, none: number): number {
  const value = schema[bound];
  return typeof value === 'number' ? value : none;
}

function valuesOf(schema: Schema): readonly unknown[] | undefined {
  return schema.const === undefined ? schema.enum : [schema.const];
}

function alternativesOf(schema: Schema): readonly Schema[] | undefined {
  return schema.anyOf ?? schema.oneOf;
}

function leastOf(candidates: readonly string[][]): string[] {
  return candidates.reduce(
    (least, one) => (one.length < least.length ? one : least),
    candidates[0] ?? [],
  );
}

/** Follows a reference within the document, and merges what must hold together. */
function resolve({ schema, root }: Placed): Schema {
  let found = schema;
  while (found.$ref !== undefined) {
    const path = found.$ref.replace('#/', '').split('/');
    const step = (node: unknown, name: string) =>
      (node as Record<string, unknown>)[name.replaceAll('~1', '/')];
    found = path.reduce(step, root) as Schema;
  }
  if (found.allOf === undefined) return found;
  const parts = found.allOf.map((part) => resolve({ schema: part, root }));
  return Object.assign({}, ...parts, {
    properties: Object.assign({}, ...parts.map((part) => part.properties)),
    required: parts.flatMap((part) => part.required ?? []),
  });
}
