import { MemplaneError } from '@memplane/contracts';
import type { z } from 'zod';

/** What the lines of an export are: a head (`format`), items, and an end that tells their `count`. */
export interface ExportShape<Line extends object> {
  readonly schema: z.ZodType<Line>;
  readonly isItem: (line: Line) => boolean;
  /** How problems call them. */
  readonly items: string;
}

/**
 * The lines of an export, checked one by one.
 * @param name of the part that they are, for problems
 * @throws MemplaneError `storage_damaged` unless the first is a head, the last an end, and all are there
 */
export async function* checkedExport<Line extends object>(
  lines: AsyncIterable<unknown>,
  name: string,
  { schema, isItem, items }: ExportShape<Line>,
): AsyncGenerator<Line> {
  let isFirst = true;
  let hasEnded = false;
  let count = 0;
  for await (const line of lines) {
    const { data, success } = schema.safeParse(line);
    if (!success || hasEnded || isFirst !== 'format' in data) {
      throw unusablePart(name, 'a line is not what it should be');
    }
    isFirst = false;
    hasEnded = 'end' in data;
    if (hasEnded && 'count' in data && data.count !== count) {
      throw unusablePart(name, `${items} are missing`);
    }
    if (isItem(data)) count++;
    yield data;
  }
  if (!hasEnded) throw unusablePart(name, 'it ends too early');
}

/** @param name of a part of a backup */
export function unusablePart(name: string, why: string, cause?: unknown): MemplaneError {
  return new MemplaneError('storage_damaged', `The part ${name} can not be used: ${why}.`, {
    cause,
    extra: { part: name },
  });
}
