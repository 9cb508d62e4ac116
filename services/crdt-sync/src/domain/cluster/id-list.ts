import { z } from 'zod';

const listSchema = z.object({ forgotten: z.array(z.string().min(1).max(128)).max(4_096) });

/** Ids that are forgotten, as replicas tell each other. Later versions may tell more beside them. */
export function encodeIds(forgotten: Iterable<string>): Uint8Array {
  return Buffer.from(JSON.stringify({ forgotten: [...forgotten] }));
}

/** @throws ZodError, SyntaxError for what is no such list */
export function decodeIds(bytes: Uint8Array): string[] {
  return listSchema.parse(JSON.parse(Buffer.from(bytes).toString())).forgotten;
}
