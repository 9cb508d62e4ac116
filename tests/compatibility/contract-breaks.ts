import { type Direction, type Placed, type Schema, schemaBreaks } from './schema-breaks.ts';

interface Content {
  readonly content?: Readonly<Record<string, { readonly schema?: Schema }>>;
}
interface Parameter {
  readonly in: string;
  readonly name: string;
  readonly required?: boolean;
  readonly schema?: Schema;
}
interface ApiOperation {
  readonly parameters?: readonly Parameter[];
  readonly requestBody?: Content & { readonly required?: boolean };
  readonly responses?: Readonly<Record<string, Content & { readonly description?: string }>>;
}
/** What is read of an OpenAPI document. */
export interface OpenApi {
  readonly paths: Readonly<Record<string, Readonly<Record<string, ApiOperation>>>>;
}
/** What is read of an AsyncAPI document. */
export interface AsyncApi {
  readonly channels: Readonly<Record<string, unknown>>;
  readonly components: {
    readonly messages: Readonly<Record<string, { readonly payload?: Schema }>>;
  };
}

/** What agents publish; every other topic is the plane's to write. */
const INPUTS: ReadonlySet<string> = new Set(['agent-inbox']);

/** What a caller of the released API would stumble over, each with its place. */
export function apiBreaks(released: OpenApi, current: OpenApi): string[] {
  return Object.entries(released.paths).flatMap(([path, methods]) =>
    Object.entries(methods).flatMap(([method, before]) => {
      const at = `${method.toUpperCase()} ${path}`;
      const now = current.paths[path]?.[method];
      if (now === undefined) return [`${at}: the operation is gone`];
      const compare = (a: Schema = {}, b: Schema = {}, direction: Direction, where: string) =>
        schemaBreaks(placed(a, released), placed(b, current), direction, `${at} ${where}`);
      return [
        ...parameterBreaks(before, now, at, compare),
        ...bodyBreaks(before, now, at, compare),
        ...answerBreaks(before, now, at, compare),
      ];
    }),
  );
}

/** What a publisher or a subscriber of the released topics would stumble over. */
export function topicBreaks(released: AsyncApi, current: AsyncApi): string[] {
  return Object.keys(released.channels).flatMap((topic) => {
    if (current.channels[topic] === undefined) return [`${topic}: the topic is gone`];
    const payloads = [released, current].map((it) => it.components.messages[topic]?.payload ?? {});
    const [before = {}, now = {}] = payloads;
    const direction = INPUTS.has(topic) ? 'input' : 'output';
    // Each payload has its definitions with it.
    return schemaBreaks(placed(before, before), placed(now, now), direction, topic);
  });
}

/** Codes that are gone, or mean another status or kind, by the tables of docs/reference/errors.md. */
export function codeBreaks(released: string, current: string): string[] {
  const now = codesOf(current);
  return [...codesOf(released)].flatMap(([code, meaning]) =>
    now.get(code) === meaning ? [] : [`${code}: was ${meaning}, is ${now.get(code) ?? 'gone'}`],
  );
}

function codesOf(page: string): Map<string, string> {
  const rows = page.matchAll(/^\| `(\w+)` \| (\d+ \| \w+) \|/gm);
  return new Map([...rows].map(([, code = '', meaning = '']) => [code, meaning]));
}

type Compare = (
  before: Schema | undefined,
  now: Schema | undefined,
  direction: Direction,
  where: string,
) => string[];

function parameterBreaks(
  before: ApiOperation,
  now: ApiOperation,
  at: string,
  compare: Compare,
): string[] {
  const others = new Map((now.parameters ?? []).map((it) => [`${it.in} ${it.name}`, it]));
  const known = new Set((before.parameters ?? []).map((it) => `${it.in} ${it.name}`));
  const breaks = (before.parameters ?? []).flatMap((parameter) => {
    const name = `${parameter.in} ${parameter.name}`;
    const other = others.get(name);
    if (other === undefined) return [`${at} ${name}: the parameter is gone`];
    const isNewlyRequired = other.required === true && parameter.required !== true;
    return [
      ...(isNewlyRequired ? [`${at} ${name}: the parameter is required now`] : []),
      ...compare(parameter.schema, other.schema, 'input', name),
    ];
  });
  for (const [name, { required }] of others) {
    if (required === true && !known.has(name))
      breaks.push(`${at} ${name}: a new parameter is required`);
  }
  return breaks;
}

function bodyBreaks(
  before: ApiOperation,
  now: ApiOperation,
  at: string,
  compare: Compare,
): string[] {
  const [was, is] = [before.requestBody, now.requestBody];
  if (is?.required === true && was?.required !== true) return [`${at} body: it is required now`];
  if (was === undefined) return [];
  return mediaBreaks(was, is ?? {}, 'input', `${at} body`, compare, 'body');
}

function answerBreaks(
  before: ApiOperation,
  now: ApiOperation,
  at: string,
  compare: Compare,
): string[] {
  return Object.entries(before.responses ?? {}).flatMap(([status, was]) => {
    if (!status.startsWith('2')) return [];
    const is = now.responses?.[status];
    if (is === undefined) return [`${at} ${status}: the answer is gone`];
    return mediaBreaks(was, is, 'output', `${at} ${status}`, compare, status);
  });
}

function mediaBreaks(
  was: Content,
  is: Content,
  direction: Direction,
  at: string,
  compare: Compare,
  where: string,
): string[] {
  return Object.entries(was.content ?? {}).flatMap(([type, { schema }]) => {
    const other = is.content?.[type];
    return other === undefined
      ? [`${at}: ${type} is gone`]
      : compare(schema, other.schema, direction, where);
  });
}

const placed = (schema: Schema, root: unknown): Placed => ({ schema, root });
