import { partitionKey } from '@memplane/contracts';
import { Batcher } from './batcher.ts';
import type { Core } from './core.ts';
import { MemplaneError } from './errors.ts';
import type { CallOptions } from './http.ts';
import type { Appended, NewEvent } from './types.ts';
import { uuidV7 } from './uuid.ts';

interface AppendAnswer {
  readonly accepted: readonly Omit<Appended, 'token'>[];
  readonly token: string;
}

/** The writing half of the client. */
export class Appender {
  readonly #core: Core;
  readonly #batcher: Batcher<Appended>;

  constructor(core: Core) {
    this.#core = core;
    this.#batcher = new Batcher({
      ...core.settings,
      send: (bodyText, count) => this.sendText(bodyText, count, {}),
    });
  }

  /** Joined with what else is appended in this tick. */
  async append(events: readonly NewEvent[], options: CallOptions): Promise<Appended[]> {
    if (events.length === 0) return [];
    if (events.some(isConditional)) {
      // By themselves: what they ask for is about this call's events alone.
      const texts = events.map((event) => this.#finish(event));
      return this.sendText(`[${texts.join(',')}]`, texts.length, options);
    }
    const { tenant } = this.#core.settings;
    const texts: string[] = [];
    const keys: string[] = [];
    for (const event of events) {
      texts.push(this.#finish(event));
      keys.push(partitionKey(tenant, String(event.entity)));
    }
    return abortable(this.#batcher.add(texts, keys, options.signal), options);
  }

  /** One request of its own, of at most 1,000 events that all have ids. */
  async sendText(bodyText: string, count: number, options: CallOptions): Promise<Appended[]> {
    const answer = (await this.#core.http.json({
      ...options,
      service: 'event-ingest',
      method: 'POST',
      path: '/v1/events',
      bodyText,
      // Every event has an id, so that the plane recognises what it has already taken.
      repeat: 'always',
    })) as AppendAnswer | undefined;
    if (!Array.isArray(answer?.accepted) || answer.accepted.length !== count) {
      throw new MemplaneError('bad_answer', 'The answer to an append is not one of a plane.');
    }
    const { token } = answer;
    this.#core.cut.observe(token);
    return answer.accepted.map((one) => ({ ...one, token }));
  }

  /** Through the sidecar's pub/sub: not yet durable when it resolves. */
  async publish(event: NewEvent, options: CallOptions): Promise<{ id: string }> {
    const { dapr, tenant, bases, headers, timeoutMs, fetch } = this.#core.settings;
    if (dapr === undefined) {
      throw new MemplaneError('invalid_argument', 'publish needs a client with `dapr`.', {
        field: 'dapr',
      });
    }
    const withId = { ...event, id: event.id ?? uuidV7() };
    const endpoint = bases['event-ingest'].replace(/\/v1\.0\/.*$/, '');
    const key = encodeURIComponent(partitionKey(tenant, event.entity));
    const url = `${endpoint}/v1.0/publish/${dapr.pubsub ?? 'pubsub'}/agent-inbox`;
    const timeout = AbortSignal.timeout(options.timeoutMs ?? timeoutMs);
    const response = await fetch(`${url}?metadata.partitionKey=${key}`, {
      method: 'POST',
      headers: { ...headers, 'content-type': 'application/json' },
      body: JSON.stringify(withId),
      signal: options.signal ? AbortSignal.any([options.signal, timeout]) : timeout,
    });
    if (response.ok) return { id: withId.id };
    throw new MemplaneError('bad_answer', `The sidecar answered ${response.status}.`, {
      status: response.status,
      transient: response.status >= 500 || response.status === 429,
    });
  }

  /** Ids are made here, before the first try: that makes every repetition harmless. */
  #finish(event: NewEvent): string {
    const { source } = this.#core.settings;
    return JSON.stringify({
      ...event,
      id: event.id ?? uuidV7(),
      ...(event.source === undefined && source !== undefined ? { source } : {}),
    });
  }
}

/** What strong entities alone take. */
function isConditional({ expectedSequence, lease, fencingToken }: NewEvent): boolean {
  return expectedSequence !== undefined || lease !== undefined || fencingToken !== undefined;
}

/** The caller stops waiting; what is already under way still arrives, once. */
function abortable<T>(work: Promise<T>, { signal, timeoutMs }: CallOptions): Promise<T> {
  if (signal === undefined && timeoutMs === undefined) return work;
  return new Promise((resolve, reject) => {
    const abort = () => {
      reject(new MemplaneError('aborted', 'The append was aborted; it may still arrive.'));
    };
    const late = () => {
      const message = `Not appended within ${timeoutMs} ms; it may still arrive.`;
      reject(new MemplaneError('deadline_exceeded', message, { transient: true }));
    };
    const timer = timeoutMs === undefined ? undefined : setTimeout(late, timeoutMs);
    signal?.addEventListener('abort', abort, { once: true });
    work.then(resolve, reject).finally(() => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', abort);
    });
  });
}
