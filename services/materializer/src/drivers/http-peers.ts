import { MemplaneError, SERVICES, type ServiceName } from '@memplane/contracts';
import type { PartitionAssignment } from '@memplane/event-log';
import { createHttpInvoker, type Invoker } from '@memplane/runtime';
import type { PartCall, PeerFeedRequest, Peers } from '../peers.ts';

export interface HttpPeersOptions {
  /** Where this instance answers its peers; the others are called by theirs. */
  readonly self: string;
  readonly ownership: Pick<PartitionAssignment, 'owners'>;
  /** What the instances prove themselves by to each other. */
  readonly token: string | undefined;
}

/** What is known of the owners is asked for anew when it is this old. */
const OWNERS_AGE_MS_MAX = 5_000;
/** A read waits for the answer as to who owns what no longer than this. */
const OWNERS_TIMEOUT_MS = 1_000;
/** Between two questions who owns what. */
const OWNERS_INTERVAL_MS_MIN = 20;
/** The longest that a feed is passed on; its reader goes on where it ended. */
const FEED_TIMEOUT_MS = 10 * 60_000;
const INVOKERS_MAX = 256;

/** What an instance tells with each answer. */
interface PartReply {
  readonly answer: unknown;
  readonly shards: readonly ShardSeen[];
}

interface ShardSeen {
  readonly partition: number;
  readonly epoch: number;
  readonly applied: number;
}

/** The other instances, over HTTP from one to the other: a sidecar can't tell them apart. */
export class HttpPeers implements Peers {
  readonly self: string;
  readonly #options: HttpPeersOptions;
  readonly #invokers = new Map<string, Invoker>();
  readonly #seen = new Map<number, ShardSeen>();
  #owners: ReadonlyMap<number, string> = new Map();
  #others: readonly string[] = [];
  #ownersAt = Number.NEGATIVE_INFINITY;
  #asking: Promise<void> | undefined;

  constructor(options: HttpPeersOptions) {
    this.self = options.self;
    this.#options = options;
  }

  async owners(isFresh: boolean): Promise<ReadonlyMap<number, string>> {
    const ageMs = performance.now() - this.#ownersAt;
    if (ageMs < (isFresh ? OWNERS_INTERVAL_MS_MIN : OWNERS_AGE_MS_MAX)) return this.#owners;
    this.#asking ??= this.#ask().finally(() => {
      this.#asking = undefined;
    });
    await within(OWNERS_TIMEOUT_MS, this.#asking);
    return this.#owners;
  }

  async others(): Promise<readonly string[]> {
    await this.owners(true);
    return this.#others;
  }

  async #ask(): Promise<void> {
    const askedAt = performance.now();
    const owners = new Map<number, string>();
    const others: string[] = [];
    for (const { instance, partitions } of await this.#options.ownership.owners()) {
      if (!isUrl(instance)) continue;
      if (instance !== this.self) others.push(instance);
      for (const partition of partitions) owners.set(partition, instance);
    }
    this.#owners = owners;
    this.#others = others;
    this.#ownersAt = askedAt;
  }

  async call(instance: string, call: PartCall): Promise<unknown> {
    const { part, query, wait, timeoutMs } = call;
    const partitions = call.partitions.map((partition) => ({
      partition,
      epoch: this.#seen.get(partition)?.epoch ?? 0,
    }));
    const waitMs = Math.max(0, Math.ceil(wait.deadline - performance.now()));
    const how = {
      body: { partitions, query: query ?? null, waitMs },
      timeoutMs: waitMs + timeoutMs,
      signal: wait.signal,
      ...(wait.trace === undefined ? {} : { trace: wait.trace }),
    };
    const reply = await this.#invoker(instance)
      .invoke('materializer', 'POST', `/v1/parts/${part}`, how)
      .catch(refused);
    const { answer, shards } = reply as PartReply;
    for (const shard of shards) this.saw(shard);
    return answer;
  }

  feed(instance: string, request: PeerFeedRequest): Promise<AsyncIterable<Uint8Array>> {
    const { signal, retained, ...query } = request;
    const how = {
      query: {
        ...query,
        retained: String(retained),
        epoch: this.#seen.get(request.partition)?.epoch ?? 0,
      },
      timeoutMs: FEED_TIMEOUT_MS,
      signal,
    };
    return this.#invoker(instance).stream('materializer', '/v1/partition-feed', how).catch(refused);
  }

  appliedOf(partition: number): number | undefined {
    return this.#seen.get(partition)?.applied;
  }

  saw({ partition, epoch, applied }: ShardSeen): void {
    const known = this.#seen.get(partition);
    this.#seen.set(partition, {
      partition,
      epoch: Math.max(epoch, known?.epoch ?? 0),
      applied: Math.max(applied, known?.applied ?? -1),
    });
  }

  #invoker(instance: string): Invoker {
    let invoker = this.#invokers.get(instance);
    if (invoker === undefined) {
      const { token } = this.#options;
      const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
      const names = Object.keys(SERVICES) as ServiceName[];
      const urls = Object.fromEntries(names.map((name) => [name, instance]));
      invoker = createHttpInvoker(urls as Record<ServiceName, string>, { headers });
      const [oldest] = this.#invokers.keys();
      if (this.#invokers.size >= INVOKERS_MAX && oldest !== undefined) {
        this.#invokers.delete(oldest);
      }
      this.#invokers.set(instance, invoker);
    }
    return invoker;
  }
}

/** The caller has shown the right token: that ours is not the other's is not its fault. */
function refused(cause: unknown): never {
  if (!(cause instanceof MemplaneError) || cause.code !== 'unauthorized') throw cause;
  const message = 'Instances of the materializer have different peer tokens.';
  throw new MemplaneError('dependency_unavailable', message, { cause, retryAfterMs: 1_000 });
}

function isUrl(instance: string): boolean {
  return /^https?:\/\//.test(instance) && URL.canParse(instance);
}

/** @throws MemplaneError `dependency_unavailable` when it takes longer */
async function within(timeoutMs: number, work: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    const message = 'Nobody has told in time who owns which partition.';
    timer = setTimeout(
      () => reject(new MemplaneError('dependency_unavailable', message)),
      timeoutMs,
    );
  });
  try {
    await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
