import type { BlobStore } from '@memplane/blob-store';
import { MemplaneError } from '@memplane/contracts';
import {
  damagedObject,
  decodeObject,
  encodeObject,
  type LedgerEntry,
  type LedgerHead,
  NO_OBJECTS,
  numberOf,
  objectName,
} from './ledger-object.ts';

/** A ledger that was read and checked from its first object to its last. */
export interface Ledger {
  readonly head: LedgerHead;
  /** By the id of the erasure, in the order in which they came. */
  readonly entries: ReadonlyMap<string, LedgerEntry>;
  /** The digest of each object, the first one of what stands before them all. */
  readonly digests: readonly string[];
}

export const EMPTY_LEDGER: Ledger = {
  head: NO_OBJECTS,
  entries: new Map(),
  digests: [NO_OBJECTS.sha256],
};

/** Erasures of one object. */
const OBJECT_ENTRIES_MAX = 1_000;
/** How often another writer may come first. */
const APPEND_ATTEMPTS_MAX = 30;

/**
 * @throws MemplaneError `storage_damaged`, naming the first object that is missing or not as it was
 * written; what the storage throws
 */
export async function readLedger(blobs: BlobStore): Promise<Ledger> {
  let head = NO_OBJECTS;
  const entries = new Map<string, LedgerEntry>();
  const digests = [head.sha256];
  for await (const { name } of blobs.list('erasures/')) {
    const next = objectName(head.number + 1);
    if (numberOf(name) === undefined) throw damagedObject(name, 'it is none of a ledger');
    if (name !== next) throw damagedObject(next, 'it is missing');
    const object = decodeObject(await objectOf(blobs, name), head);
    ({ head } = object);
    digests.push(head.sha256);
    for (const entry of object.erasures) entries.set(entry.erasure, entry);
  }
  return { head, entries, digests };
}

async function objectOf(blobs: BlobStore, name: string): Promise<Buffer> {
  try {
    return await blobs.get(name);
  } catch (error) {
    if (!(error instanceof MemplaneError) || error.code !== 'not_found') throw error;
    throw damagedObject(name, 'it is missing', error);
  }
}

/**
 * Adds those that the ledger does not have yet. Several may do so at a time: an object that is there is
 * never written again.
 * @returns the ledger as it is then
 * @throws as {@link readLedger}; MemplaneError `storage_unavailable` where others always come first
 */
export async function appendToLedger(
  blobs: BlobStore,
  erasures: readonly LedgerEntry[],
): Promise<Ledger> {
  for (let attempt = 0; attempt < APPEND_ATTEMPTS_MAX; attempt++) {
    const ledger = await readLedger(blobs);
    const fresh = erasures.filter(({ erasure }) => !ledger.entries.has(erasure));
    const grown = await writtenBehind(blobs, ledger, fresh);
    if (grown !== undefined) return grown;
  }
  const message = 'Others write to the erasure ledger all the time.';
  throw new MemplaneError('storage_unavailable', message, { retryAfterMs: 1_000 });
}

/** @returns undefined where another writer came first; what was written until then stays */
async function writtenBehind(
  blobs: BlobStore,
  ledger: Ledger,
  fresh: readonly LedgerEntry[],
): Promise<Ledger | undefined> {
  let { head } = ledger;
  const digests = [...ledger.digests];
  for (let first = 0; first < fresh.length; first += OBJECT_ENTRIES_MAX) {
    const object = encodeObject(head, fresh.slice(first, first + OBJECT_ENTRIES_MAX));
    const name = objectName(object.head.number);
    const { written } = await blobs.put(name, object.bytes, { ifAbsent: true });
    if (!written) return undefined;
    ({ head } = object);
    digests.push(head.sha256);
  }
  const entries = new Map(ledger.entries);
  for (const entry of fresh) entries.set(entry.erasure, entry);
  return { head, entries, digests };
}

/**
 * Whether a ledger goes on from a head, so that it has all that was in it then.
 * @returns why not; undefined: it does
 */
export function whyNotSince({ head, digests }: Ledger, since: LedgerHead): string | undefined {
  if (head.number < since.number) {
    return `it ends with object ${head.number}, and had ${since.number} when the backup was made`;
  }
  if (digests[since.number] === since.sha256) return undefined;
  return `its object ${objectName(since.number)} is not the one that was there when the backup was made`;
}
