import { randomBytes } from 'node:crypto';
import type { CommitVector } from '../../domain/session-token.ts';
import { type Client, type Reply, send } from './client.ts';
import { functionName, LIBRARY_REVISION, librarySource } from './library.ts';
import { isFunctionMissing } from './redis-error.ts';
import { readVector } from './redis-records.ts';
import { bytes, list, pairs } from './replies.ts';
import { askFacts, checkDurability, type Fsync, type ServerFacts } from './server-facts.ts';

/** Names the values that are there; gone with them when all are removed. */
export const STATE = '_replica:state';
export const INCARNATIONS = '_replica:incarnations';

/** What a connection finds before it is used. */
export interface Found {
  readonly facts: ServerFacts;
  /** What {@link STATE} was. */
  readonly state: string;
  /** Up to which commit of each incarnation all was there. */
  readonly known: CommitVector;
}

/** Connects, checks, and loads the library where it is missing or older. */
export async function setUp(client: Client, appendfsync: Fsync): Promise<Found> {
  await client.connect();
  const ask = (words: readonly string[]) => send(client, words);
  const facts = await askFacts(ask);
  checkDurability(facts, appendfsync);
  await loadLibrary(ask);
  const state = (await ask(['GET', STATE])) ?? (await beginState(ask));
  // Only now: what is found of these values is not more than they have.
  const known = readVector(pairs(list(await ask(['HGETALL', INCARNATIONS]))));
  return { facts, state: bytes(state).toString(), known };
}

export function newState(): string {
  return randomBytes(16).toString('hex');
}

type Ask = (words: readonly string[]) => Promise<Reply>;

async function beginState(ask: Ask): Promise<Reply> {
  await ask(['SET', STATE, newState(), 'NX']);
  return ask(['GET', STATE]);
}

async function loadLibrary(ask: Ask): Promise<void> {
  let revision = 0;
  try {
    revision = Number(await ask(['FCALL_RO', functionName('revision'), '0']));
  } catch (error) {
    if (!isFunctionMissing(error)) throw error;
  }
  if (revision < LIBRARY_REVISION) await ask(['FUNCTION', 'LOAD', 'REPLACE', librarySource()]);
}
