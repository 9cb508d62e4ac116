import { MemplaneError } from '@memplane/contracts';
import type { ReadonlyVector } from '@memplane/crdt';
import type { CommitId } from '../command.ts';
import type { LargeCalls } from '../replication/large-calls.ts';
import { METHODS } from '../replication/methods.ts';
import { answerFor, type ReplicaSets } from './replica-sets.ts';
import { SharedRuns } from './shared-runs.ts';

export interface AgreementOptions {
  readonly calls: LargeCalls;
  readonly sets: ReplicaSets;
  /** All that is durable here. */
  readonly known: () => ReadonlyVector;
}

const VERSION_BYTES = 6;
const INCARNATION_BYTES = 16;
const COMMITS_BYTES = 6;
const NOBODY = '0'.repeat(2 * INCARNATION_BYTES);
/** Replicas, versions and incarnations that are asked about; more than there are at once. */
const LINES_MAX = 256;

/**
 * Which version of the replica set others go by, and what they have while they do. One that has
 * answered for a version knew no later one by then: whatever it had is in what it gives to those
 * that settle a later one.
 */
export class Agreement {
  readonly #options: AgreementOptions;
  readonly #lines = new Map<string, SharedRuns<number>>();

  constructor(options: AgreementOptions) {
    this.#options = options;
    const { calls, known, sets } = options;
    calls.onCall(METHODS.agree, async (from, question) => {
      if (question.length !== VERSION_BYTES + INCARNATION_BYTES) throw otherwise(from);
      const asked = Buffer.from(question);
      const version = asked.readUIntBE(0, VERSION_BYTES);
      const commits = await answerFor(sets, version, () => {
        return known().get(asked.toString('hex', VERSION_BYTES)) ?? 0;
      });
      const answer = Buffer.alloc(COMMITS_BYTES);
      answer.writeUIntBE(commits, 0, COMMITS_BYTES);
      return answer;
    });
  }

  /** @throws MemplaneError unless it has the commit, durably, and goes by that version */
  async has(id: string, version: number, { incarnation, number }: CommitId): Promise<void> {
    const commits = await this.#line(id, version, incarnation).run();
    if (commits >= number) return;
    throw new MemplaneError('no_quorum', `Replica ${id} does not have it yet.`);
  }

  /** @throws MemplaneError unless it goes by that version, and answers for no earlier one any more */
  async goesBy(id: string, version: number): Promise<void> {
    await this.#ask(id, version, NOBODY);
  }

  /** Calls about the same are shared by all that wait: each asks for what a call will tell. */
  #line(id: string, version: number, incarnation: string): SharedRuns<number> {
    const key = `${id} ${version} ${incarnation}`;
    const found = this.#lines.get(key);
    if (found !== undefined) return found;
    // Whoever waits has its own line still; another one only shares less.
    if (this.#lines.size >= LINES_MAX) this.#lines.clear();
    const line = new SharedRuns(() => this.#ask(id, version, incarnation));
    this.#lines.set(key, line);
    return line;
  }

  async #ask(id: string, version: number, incarnation: string): Promise<number> {
    const question = Buffer.alloc(VERSION_BYTES + INCARNATION_BYTES);
    question.writeUIntBE(version, 0, VERSION_BYTES);
    question.write(incarnation, VERSION_BYTES, 'hex');
    const { bytes } = await this.#options.calls.call(id, METHODS.agree, question);
    if (bytes.length !== COMMITS_BYTES) throw otherwise(id);
    return Buffer.from(bytes).readUIntBE(0, COMMITS_BYTES);
  }
}

function otherwise(replica: string): MemplaneError {
  return new MemplaneError('dependency_unavailable', `Replica ${replica} speaks otherwise.`);
}
