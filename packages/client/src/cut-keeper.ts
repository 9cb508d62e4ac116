import { type Cut, decodeToken, encodeToken, joinCuts } from '@memplane/contracts';
import { MemplaneError } from './errors.ts';

/**
 * Remembers what this client has written, as one cut: for each partition the highest offset. So it
 * stays as small as the log has partitions, however much is written.
 */
export class CutKeeper {
  #cut: Cut | undefined;
  #token: string | undefined;
  #foreign = false;

  /** Takes a token in. Tokens of another log are told at the next read, never guessed at. */
  observe(token: string): void {
    const cut = read(token);
    if (this.#cut !== undefined && this.#cut.logId !== cut.logId) {
      this.#foreign = true;
      return;
    }
    const { timeMs: _, ...known } = this.#cut === undefined ? cut : joinCuts([this.#cut, cut]);
    this.#cut = known;
    this.#token = undefined;
  }

  /** @throws MemplaneError `token_of_another_log` after tokens of two logs. */
  get token(): string | undefined {
    if (this.#foreign) {
      throw new MemplaneError(
        'token_of_another_log',
        'This client has written to two different logs: was the plane set up anew? ' +
          'Call forgetToken() to read without what was written before.',
        { status: 409 },
      );
    }
    if (this.#cut !== undefined) this.#token ??= encodeToken(this.#cut);
    return this.#token;
  }

  forget(): void {
    this.#cut = undefined;
    this.#token = undefined;
    this.#foreign = false;
  }
}

function read(token: string): Cut {
  try {
    return decodeToken(token);
  } catch (cause) {
    throw new MemplaneError('invalid_token', 'This is no token that a plane has given out.', {
      field: 'token',
      cause,
    });
  }
}
