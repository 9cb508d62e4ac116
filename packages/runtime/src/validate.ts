import { type ErrorCode, MemplaneError } from '@memplane/contracts';
import type { z } from 'zod';

/**
 * Checks a value against a schema.
 * @param root how problems name the value, e.g. `body` or `query`
 * @throws MemplaneError with the first wrong field, and up to ten in `errors`.
 */
export function validate<T extends z.ZodType>(
  schema: T,
  value: unknown,
  root: string,
  code: ErrorCode = 'invalid_request',
): z.output<T> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const errors = result.error.issues
    .flatMap(deepest)
    .slice(0, 10)
    .map((issue) => ({
      field: fieldName(root, issue),
      message: issue.message,
    }));
  const [first] = errors;
  throw new MemplaneError(code, `${first?.field}: ${first?.message}`.slice(0, 500), {
    field: first?.field ?? root,
    extra: { errors },
  });
}

/** Of a union's branches, tells the issues of the one that came nearest. */
function deepest(issue: z.core.$ZodIssue): z.core.$ZodIssue[] {
  if (issue.code !== 'invalid_union' || issue.errors.length === 0) return [issue];
  const ranked = [...issue.errors].sort((a, b) => rank(b) - rank(a));
  const best = ranked[0] ?? [];
  return best.flatMap((inner) => deepest({ ...inner, path: [...issue.path, ...inner.path] }));
}

function rank(issues: readonly z.core.$ZodIssue[]): number {
  const depth = Math.max(0, ...issues.map((issue) => issue.path.length));
  return depth * 100 - issues.length;
}

function fieldName(root: string, issue: z.core.$ZodIssue): string {
  const path = [...issue.path];
  if (issue.code === 'unrecognized_keys' && issue.keys[0] !== undefined) path.push(issue.keys[0]);
  let name = root;
  for (const key of path) name += typeof key === 'number' ? `[${key}]` : `.${String(key)}`;
  return name.slice(0, 300);
}
