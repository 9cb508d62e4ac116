import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

export interface TokenOf {
  readonly tenant: string;
  readonly roles: readonly string[];
}

/** Writes a file of tenants into a folder: each name of a token is the token. @returns its place */
export function writeTenants(
  dir: string,
  tokens: Readonly<Record<string, TokenOf>>,
  more: object = {},
): string {
  const file = join(dir, 'tenants.yaml');
  const list = Object.entries(tokens).map(([name, of]) => ({
    name,
    sha256: createHash('sha256').update(name).digest('hex'),
    ...of,
  }));
  writeFileSync(file, JSON.stringify({ version: 1, tokens: list, ...more }));
  return file;
}

export function bearerOf(token: string): Record<string, string> {
  return { authorization: `Bearer ${token}` };
}
