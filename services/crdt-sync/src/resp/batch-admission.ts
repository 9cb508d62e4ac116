import {
  admittedAs,
  isRefusal,
  type Permit,
  type RequestAdmission,
  refusalError,
} from '@memplane/runtime';
import { errorReply } from './commands.ts';

/** Commands of a connection that came together are let in together. */
export type Batch = { readonly permit: Permit | undefined } | { readonly busy: string };

const ALL: Batch = { permit: undefined };

/**
 * Lets in what connections send, as HTTP's requests are let in, and in turns with them: at the cost
 * of one look for each read of the socket, however many commands it brought.
 */
export class BatchAdmission {
  readonly #admission: () => RequestAdmission | undefined;
  /** Of all connections, so that what a batch takes is compared with what others took. */
  readonly #as = admittedAs('normal');

  /** @param admission of the service; of what gives undefined all are let in */
  constructor(admission: () => RequestAdmission | undefined) {
    this.#admission = admission;
  }

  /** @param bytes that were read, about @param agent whoever is told apart from others of its tenant */
  enter(bytes: number, tenant: string, agent: string): Batch | Promise<Batch> {
    const admission = this.#admission();
    if (admission === undefined) return ALL;
    const entered = admission.ask(this.#as, bytes, { tenant, agent });
    return entered instanceof Promise ? entered.then(batchOf) : batchOf(entered);
  }

  /** @param isTimed whether its time tells how the service does: it was served, and waited for nobody */
  leave(permit: Permit | undefined, isTimed: boolean): void {
    if (permit !== undefined) this.#admission()?.leave(permit, isTimed);
  }
}

function batchOf(entered: Parameters<typeof isRefusal>[0]): Batch {
  return isRefusal(entered) ? { busy: errorReply(refusalError(entered)) } : { permit: entered };
}
