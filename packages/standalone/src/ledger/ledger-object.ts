import { createHash } from 'node:crypto';
import { MemplaneError } from '@memplane/contracts';
import { z } from 'zod';

const digest = z.string().regex(/^[0-9a-f]{64}$/);

const entrySchema = z.strictObject({
  tenant: z.string(),
  entity: z.string(),
  /** The id of the erasure. */
  erasure: z.uuid(),
  requestedAt: z.iso.datetime(),
  /** The log that has its event. */
  logId: z.uuid(),
  event: z.strictObject({
    id: z.string(),
    partition: z.number().int().min(0),
    offset: z.number().int().min(0),
  }),
});

const contentSchema = z.strictObject({
  format: z.literal(1),
  keyId: z.literal(0),
  /** From 1 on, without a gap. */
  number: z.number().int().min(1),
  /** The digest of the object before it. */
  previous: digest,
  erasures: z.array(entrySchema).min(1),
});

type Content = z.infer<typeof contentSchema>;

/** An erasure as a ledger has it: whose and where, and nothing of what was said. */
export type LedgerEntry = z.infer<typeof entrySchema>;

/** Up to where a ledger goes: its newest object, or what stands before the first. */
export const ledgerHeadSchema = z.strictObject({
  number: z.number().int().min(0),
  sha256: digest,
});
export type LedgerHead = z.infer<typeof ledgerHeadSchema>;

export const NO_OBJECTS: LedgerHead = { number: 0, sha256: '0'.repeat(64) };

const FOLDER = 'erasures/';
const NUMBER_DIGITS = 16;
const NAME = /^erasures\/(\d{16})\.json$/;

/** Numbers have leading zeroes, so that names sort as they do. */
export function objectName(number: number): string {
  return `${FOLDER}${String(number).padStart(NUMBER_DIGITS, '0')}.json`;
}

/** The number of an object; undefined for a name that no ledger gives. */
export function numberOf(name: string): number | undefined {
  const [, digits] = NAME.exec(name) ?? [];
  return digits === undefined ? undefined : Number(digits);
}

/** The object that follows on a head. */
export function encodeObject(
  head: LedgerHead,
  erasures: readonly LedgerEntry[],
): { readonly head: LedgerHead; readonly bytes: Buffer } {
  const { number: last, sha256: previous } = head;
  const given = { format: 1, keyId: 0, number: last + 1, previous, erasures };
  // Members in the order of the schema: one content has one text.
  return written(contentSchema.parse(given));
}

function written(content: Content): { readonly head: LedgerHead; readonly bytes: Buffer } {
  const sha256 = createHash('sha256').update(JSON.stringify(content)).digest('hex');
  const bytes = Buffer.from(`${JSON.stringify({ ...content, sha256 }, null, 1)}\n`);
  return { head: { number: content.number, sha256 }, bytes };
}

/**
 * Reads the object that is to follow on a head.
 * @throws MemplaneError `storage_damaged`, naming the object, unless every byte is as it was written
 * and it does follow
 */
export function decodeObject(
  bytes: Buffer,
  before: LedgerHead,
): { readonly head: LedgerHead; readonly erasures: readonly LedgerEntry[] } {
  const name = objectName(before.number + 1);
  const content = parsed(bytes);
  if (content === undefined) throw damagedObject(name, 'it is damaged, or of a later version');
  const { number, previous, erasures } = content;
  if (number !== before.number + 1)
    throw damagedObject(name, `it says that it is number ${number}`);
  if (previous !== before.sha256) throw damagedObject(name, 'it follows on another object');
  const { head, bytes: expected } = written(content);
  if (!expected.equals(bytes)) throw damagedObject(name, 'its digest does not hold');
  return { head, erasures };
}

function parsed(bytes: Buffer): Content | undefined {
  try {
    const { sha256: _own, ...rest } = JSON.parse(bytes.toString('utf8')) as Record<string, unknown>;
    return contentSchema.safeParse(rest).data;
  } catch {
    return undefined;
  }
}

/** Names the object. */
export function damagedObject(name: string, why: string, cause?: unknown): MemplaneError {
  const message = `The erasure ledger's object ${name} can not be used: ${why}.`;
  return new MemplaneError('storage_damaged', message, { cause, extra: { object: name } });
}
