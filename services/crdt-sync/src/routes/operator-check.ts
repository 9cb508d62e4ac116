import type { IncomingHttpHeaders } from 'node:http';
import { MemplaneError } from '@memplane/contracts';
import { TokenCheck } from '@memplane/runtime';

const HEADER = 'memplane-operator-token';

/** Whether a call is an operator's. Where no token is set, none is. */
export class OperatorCheck {
  readonly #check: TokenCheck | undefined;

  constructor(operatorToken: string | undefined) {
    this.#check = operatorToken === undefined ? undefined : new TokenCheck(operatorToken);
  }

  /** @throws MemplaneError `forbidden` */
  require(headers: IncomingHttpHeaders, words: string, field = `headers.${HEADER}`): void {
    const given = headers[HEADER];
    if (typeof given === 'string' && this.#check?.matches(given)) return;
    throw new MemplaneError('forbidden', words, { field });
  }
}
