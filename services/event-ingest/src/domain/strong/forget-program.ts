import { MemplaneError } from '@memplane/contracts';
import { ATTEMPTS_MAX } from './append-program.ts';
import { decodeHead, encodeHead, forgetful, headKey, reach } from './head.ts';
import { type EntityName, get, type Program, pauseBefore, write } from './program.ts';

/**
 * Makes a head forget what was before an erasure: the intent, which has events in full, and ids. Where
 * the entity is eventual by now the event that erases is not in the head: then it remembers nothing.
 * Only while nothing is appended to the entity.
 * @param id of the event that erases
 * @returns the first sequence that the head may remember from now on; undefined: there is no head
 * @throws MemplaneError `no_quorum`, what effects throw
 */
export function* forgetProgram(of: EntityName, id: string): Program<number | undefined> {
  for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
    yield* pauseBefore(attempt);
    const stored = yield* get(headKey(of));
    if (stored === undefined) return undefined;
    const next = forgetful(decodeHead(stored.value), id);
    const text = encodeHead(next);
    if (text === stored.value) return reach(next);
    const outcome = yield* write(headKey(of), text, stored.version);
    if (outcome.kind === 'written') return reach(next);
  }
  throw new MemplaneError('no_quorum', 'The head was not written; ask again.', {
    retryAfterMs: 500,
  });
}
