import { parse } from 'yaml';

/** A text of YAML, or of JSON, which is YAML too; without aliases. @throws Error with its place */
export function parseYaml(text: string): unknown {
  return parse(text, { maxAliasCount: 0 });
}
