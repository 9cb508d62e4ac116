import {
  type Answer,
  call,
  eventually,
  expectStatus,
  LostAnswer,
  type Seeded,
} from '@memplane/testkit';

/** One operation as the judge reads it; times are nanoseconds of one monotonic clock. */
export interface Operation {
  readonly client: number;
  readonly op: 'append' | 'read' | 'acquire' | 'release';
  readonly call: number;
  /** null: nobody knows whether and when it was done. */
  readonly return: number | null;
  readonly result: string;
  readonly entity?: string;
  readonly id?: string;
  readonly expected?: number;
  readonly sequence?: number;
  readonly last?: string;
  readonly lease?: string;
  readonly holder?: string;
  readonly ttl?: number;
  readonly token?: number;
  readonly entities?: readonly string[];
}

/** What the clients of one history talk to; any instance will do. */
export interface StrongTarget {
  readonly ingest: (random: Seeded) => string;
  readonly materializer: (random: Seeded) => string;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface StrongLoadOptions {
  readonly clients: number;
  /** Whose end is known: through an outage the load goes on until it has so many. */
  readonly operations: number;
  /** Keeps the names of one history apart from those of others. */
  readonly name: string;
  readonly ttlMs: number;
}

const OPEN_ENTITIES = 3;
const GUARDED_ENTITIES = 2;
const NANOS_PER_MS = 1e6;
const CALL_TIMEOUT_MS = 8_000;
/** Calls for each operation whose end is known, at most: a plane that never answers is a failure. */
const CALLS_PER_OPERATION_MAX = 20;
const SETTLE_TIMEOUT_MS = 60_000;
/** A client that was refused lets others go on. */
const REFUSED_PAUSE_MS = 20;

const REFUSALS: ReadonlySet<string> = new Set(['zone_changing', 'shutting_down']);

const CONFLICTS: Readonly<Record<string, string>> = {
  sequence_conflict: 'conflict',
  stale_fencing_token: 'stale',
  fencing_token_required: 'required',
};

interface AppendedBody {
  readonly accepted: readonly { readonly sequence: number; readonly duplicate: boolean }[];
}

interface HistoryPage {
  readonly events: readonly {
    readonly event: { readonly id: string };
    readonly sequence: number;
  }[];
  readonly next?: number;
}

type Fields = Omit<Operation, 'client' | 'op' | 'call' | 'return' | 'result'>;

/**
 * Strong appends, linearizable reads, leases and guarded appends by many clients, on a few entities
 * so that they meet. All that they were answered becomes one history.
 */
export class StrongLoad {
  history: Operation[] = [];
  readonly #target: StrongTarget;
  readonly #options: StrongLoadOptions;
  readonly #startedAt = process.hrtime.bigint();
  #left: number;
  #callsLeft: number;
  #ids = 0;
  readonly #sequences = new Map<string, number>();

  constructor(target: StrongTarget, options: StrongLoadOptions) {
    this.#target = target;
    this.#options = options;
    this.#left = options.operations;
    this.#callsLeft = options.operations * CALLS_PER_OPERATION_MAX;
  }

  /** Resolves when all operations are done. @throws Error when too many calls were not answered */
  async run(random: Seeded): Promise<void> {
    const { clients } = this.#options;
    await Promise.all(Array.from({ length: clients }, (_, i) => this.#client(i, random.fork(i))));
  }

  /**
   * Looks up, when all is over and well, which of the appends that nobody knows the end of are there,
   * and where. The others are left out: they took effect after everything that is judged, or never.
   * Without this the judge has to try all subsets of them.
   */
  async settle(random: Seeded): Promise<void> {
    const places = new Map<string, ReadonlyMap<string, number>>();
    const isOpen = ({ op, result }: Operation) => op === 'append' && result === 'unknown';
    for (const { entity = '' } of this.history.filter(isOpen)) {
      if (places.has(entity)) continue;
      places.set(entity, await this.#places(random, entity));
    }
    this.history = this.history.flatMap((operation) => {
      if (!isOpen(operation)) return [operation];
      const { entity = '', id = '' } = operation;
      const sequence = places.get(entity)?.get(id);
      return sequence === undefined ? [] : [{ ...operation, sequence }];
    });
  }

  /** Of all events of an entity, as a linearizable read shows them: id → sequence. */
  async #places(random: Seeded, entity: string): Promise<ReadonlyMap<string, number>> {
    const { headers = {} } = this.#target;
    const url = `${this.#target.materializer(random)}/v1/entities/${entity}`;
    const isThere = await eventually(`${entity} is read`, SETTLE_TIMEOUT_MS, async () => {
      const reading = call('GET', `${url}?consistency=linearizable`, { headers });
      const { status } = await reading.catch(() => ({ status: 0 }));
      return status === 200 || status === 404 ? { status } : undefined;
    });
    const found = new Map<string, number>();
    let from: number | undefined = isThere.status === 200 ? 0 : undefined;
    while (from !== undefined) {
      const page: HistoryPage = await expectStatus<HistoryPage>(
        200,
        'GET',
        `${url}/history?from=${from}&limit=1000`,
        { headers },
      );
      for (const { event, sequence } of page.events) found.set(event.id, sequence);
      from = page.next;
    }
    return found;
  }

  async #client(client: number, random: Seeded): Promise<void> {
    while (this.#left > 0) {
      if (random.chance(0.3)) await this.#holdLease(client, random);
      else await this.#useOpen(client, random);
    }
  }

  async #useOpen(client: number, random: Seeded): Promise<void> {
    const entity = this.#entity('open', random.int(0, OPEN_ENTITIES - 1));
    if (random.chance(0.4)) return this.#read(client, random, entity);
    const expected = random.chance(0.5) ? this.#sequences.get(entity) : undefined;
    const id = this.#newId();
    const isKnown = await this.#append(client, random, { entity, id, ...given({ expected }) });
    // Who was not answered asks again, with the same id, as a client should.
    if (!isKnown && random.chance(0.7)) await this.#append(client, random, { entity, id });
  }

  async #holdLease(client: number, random: Seeded): Promise<void> {
    const number = random.int(0, GUARDED_ENTITIES - 1);
    const entity = this.#entity('guarded', number);
    const lease = `${this.#options.name}-${number}`;
    const holder = `client-${client}-${this.#newId()}`;
    const held = { lease, holder, entities: [entity] };
    const token = await this.#acquire(client, random, held);
    if (token === undefined) return;
    for (let i = random.int(1, 3); i > 0; i--) {
      await this.#append(client, random, { entity, id: this.#newId(), lease, token });
      if (random.chance(0.2)) await this.#append(client, random, { entity, id: this.#newId() });
      if (random.chance(0.2)) await this.#read(client, random, entity);
    }
    // Some are paused beyond their time and try all the same; some never come back.
    if (random.chance(0.25)) {
      await pause(this.#options.ttlMs * 1.3);
      await this.#append(client, random, { entity, id: this.#newId(), lease, token });
    } else if (random.chance(0.3)) await this.#acquire(client, random, held);
    if (random.chance(0.8)) await this.#release(client, random, { ...held, token });
  }

  async #append(client: number, random: Seeded, fields: Fields): Promise<boolean> {
    const { entity, id, expected, lease, token } = fields;
    const body = {
      ...{ id, entity, type: 'StrongNote', attributes: { last: id } },
      ...given({ expectedSequence: expected, lease, fencingToken: token }),
    };
    const url = `${this.#target.ingest(random)}/v1/events`;
    return this.#record(
      client,
      'append',
      fields,
      'POST',
      url,
      body,
      ({ status, body: answered }) => {
        if (status === 201) {
          const first = (answered as AppendedBody).accepted[0];
          if (entity && first) this.#sequences.set(entity, first.sequence);
          const result = first?.duplicate ? 'duplicate' : 'ok';
          return { result, sequence: first?.sequence ?? -1 };
        }
        const { code = '', currentSequence } = answered as {
          code?: string;
          currentSequence?: number;
        };
        const result = status === 409 ? CONFLICTS[code] : undefined;
        if (entity && currentSequence !== undefined) this.#sequences.set(entity, currentSequence);
        if (result === undefined) return undefined;
        return { result, ...given({ sequence: currentSequence }) };
      },
    );
  }

  async #read(client: number, random: Seeded, entity: string): Promise<void> {
    const url = `${this.#target.materializer(random)}/v1/entities/${entity}?consistency=linearizable`;
    await this.#record(client, 'read', { entity }, 'GET', url, undefined, ({ status, body }) => {
      if (status === 404) return { result: 'ok', sequence: 0, last: '' };
      if (status !== 200) return undefined;
      const view = body as { sequence: number; attributes: { last?: string } };
      return { result: 'ok', sequence: view.sequence, last: view.attributes.last ?? '' };
    });
  }

  async #acquire(client: number, random: Seeded, fields: Fields): Promise<number | undefined> {
    const { lease, holder, entities } = fields;
    const { ttlMs } = this.#options;
    const url = `${this.#target.ingest(random)}/v1/leases/${lease}`;
    let token: number | undefined;
    const timed = { ...fields, ttl: ttlMs * NANOS_PER_MS };
    const body = { holder, ttlMs, entities };
    await this.#record(client, 'acquire', timed, 'PUT', url, body, ({ status, body }) => {
      if (status === 200) token = (body as { fencingToken: number }).fencingToken;
      if (token !== undefined) return { result: 'ok', token };
      return status === 409 ? { result: 'held' } : undefined;
    });
    return token;
  }

  async #release(client: number, random: Seeded, fields: Fields): Promise<void> {
    const { lease, holder, token } = fields;
    const query = `holder=${holder}&fencingToken=${token}`;
    const url = `${this.#target.ingest(random)}/v1/leases/${lease}?${query}`;
    await this.#record(client, 'release', fields, 'DELETE', url, undefined, ({ status }) => {
      if (status === 200 || status === 204) return { result: 'ok' };
      return status === 404 || status === 409 ? { result: 'gone' } : undefined;
    });
  }

  /**
   * Does one call and writes down what came of it. `judge` says what an answer means; undefined: that
   * nobody knows whether it was done. What was refused before anything began leaves no trace.
   * @returns whether its end is known
   */
  async #record(
    client: number,
    op: Operation['op'],
    fields: Fields,
    method: string,
    url: string,
    body: unknown,
    judge: (answer: Answer) => (Fields & { readonly result: string }) | undefined,
  ): Promise<boolean> {
    const { headers = {} } = this.#target;
    const calledAt = this.#now();
    let found: (Fields & { readonly result: string }) | undefined;
    try {
      const answer = await call(method, url, { body, headers, timeoutMs: CALL_TIMEOUT_MS });
      if (answer.status === 400 || answer.status === 500) throw new Error(answer.text);
      if (isRefused(answer)) {
        await pause(REFUSED_PAUSE_MS);
        return true;
      }
      found = judge(answer);
    } catch (error) {
      if (!(error instanceof LostAnswer)) throw error;
      if ((error.cause as NodeJS.ErrnoException).code === 'ECONNREFUSED') {
        await pause(REFUSED_PAUSE_MS);
        return true;
      }
    }
    if (this.#callsLeft-- === 0) throw new Error(`no answer; ${this.#left} operations are left`);
    if (found !== undefined) {
      this.#left--;
      const returnedAt = this.#now();
      this.history.push({ client, op, call: calledAt, return: returnedAt, ...fields, ...found });
      return true;
    }
    // A read that was not answered says nothing.
    if (op !== 'read') {
      this.history.push({ client, op, call: calledAt, return: null, result: 'unknown', ...fields });
    }
    await pause(REFUSED_PAUSE_MS);
    return false;
  }

  #entity(kind: string, number: number): string {
    return `session/${this.#options.name}-${kind}-${number}`;
  }

  #newId(): string {
    return `e${this.#ids++}`;
  }

  #now(): number {
    return Number(process.hrtime.bigint() - this.#startedAt);
  }
}

/** Refused before anything began. */
function isRefused({ status, body }: Answer): boolean {
  if (status === 429) return true;
  return status === 503 && REFUSALS.has((body as { code?: string }).code ?? '');
}

function given<T extends object>(fields: T): { [K in keyof T]?: NonNullable<T[K]> } {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: NonNullable<T[K]>;
  };
}

const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));
