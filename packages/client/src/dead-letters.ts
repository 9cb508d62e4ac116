import type { Core } from './core.ts';
import type { CallOptions } from './http.ts';
import type { JsonObject, NewEvent } from './types.ts';

/** A message of `agent-inbox` that could never be appended. */
export interface DeadLetter {
  readonly partition: number;
  readonly offset: number;
  readonly reason: { readonly code: string; readonly detail: string; readonly field?: string };
  readonly deadAt: string;
  readonly from: { readonly topic: string; readonly partition?: number; readonly offset?: number };
  readonly key?: string;
  /** Of the whole message. */
  readonly bytes: number;
  /** Its beginning; as `base64` where it is no UTF-8. */
  readonly text?: string;
  readonly base64?: string;
  readonly redrivenAt?: string;
}

export interface DeadLetterPage {
  readonly deadLetters: readonly DeadLetter[];
  readonly next?: string;
  /** Whether `redrivenAt` could be looked up. */
  readonly isRedrivenKnown: boolean;
}

export interface DeadLetterOptions extends CallOptions {
  readonly cursor?: string;
  readonly limit?: number;
}

/** Which one to append after all; `event` takes the place of what it holds. */
export interface Redrive {
  readonly partition: number;
  readonly offset: number;
  readonly event?: NewEvent;
}

export interface RedriveResult {
  readonly partition: number;
  readonly offset: number;
  readonly outcome: 'appended' | 'duplicate' | 'refused';
  readonly accepted?: JsonObject;
  readonly reason?: DeadLetter['reason'];
}

/** For operators, at the plane itself: sidecars let no agent come here. */
export class DeadLetters {
  readonly #core: Core;

  constructor(core: Core) {
    this.#core = core;
  }

  /** One page of them, oldest first. */
  async list(options: DeadLetterOptions = {}): Promise<DeadLetterPage> {
    const { cursor, limit, ...call } = options;
    return (await this.#core.http.json({
      ...call,
      service: 'event-ingest',
      method: 'GET',
      path: '/v1/dead-letters',
      query: { cursor, limit },
      repeat: 'always',
    })) as DeadLetterPage;
  }

  /** Appends them, each at a new position. Repeating it is harmless. At most 100 at once. */
  async redrive(
    deadLetters: readonly Redrive[],
    options: CallOptions = {},
  ): Promise<readonly RedriveResult[]> {
    const answer = (await this.#core.http.json({
      ...options,
      service: 'event-ingest',
      method: 'POST',
      path: '/v1/dead-letters/redrives',
      body: { deadLetters },
      repeat: 'always',
    })) as { readonly results: readonly RedriveResult[] };
    return answer.results;
  }
}
