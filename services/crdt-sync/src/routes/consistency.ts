import { MemplaneError } from '@memplane/contracts';
import type { ReplicaDelta } from '@memplane/crdt';
import { ok, type RouteReply } from '@memplane/runtime';
import type { Members } from '../domain/cluster/members.ts';
import { type Command, commitOf } from '../domain/command.ts';
import type { Engine } from '../domain/engine.ts';
import type { Ref } from '../domain/port.ts';
import type { ReplicaSets } from '../domain/replica-set/replica-sets.ts';
import type { Quorum } from '../domain/replication/quorum.ts';
import type { QuorumWrites } from '../domain/replication/quorum-writes.ts';
import { decodeSessionToken, encodeSessionToken, joinVectors } from '../domain/session-token.ts';
import { waitUntilCovered } from '../domain/vector-wait.ts';

export interface ConsistencyParts {
  readonly engine: Engine;
  readonly replicaId: string;
  readonly sets: ReplicaSets;
  /** How long a read waits that does not say it. */
  readonly wait_ms_max: number;
  /** These are undefined where nothing is replicated. */
  readonly members: Members | undefined;
  readonly quorum: Quorum | undefined;
  readonly writes: QuorumWrites | undefined;
}

export interface ReadQuery {
  readonly read?: 'local' | 'quorum';
  readonly after?: readonly string[] | undefined;
  readonly waitMs?: number | undefined;
  readonly token: boolean;
}

export interface WriteQuery {
  readonly write: 'local' | 'quorum';
  readonly token: boolean;
}

/** How one kind of value is read, of what is here and of what a majority has. */
export interface Reading {
  readonly local: () => Promise<object>;
  readonly quorum?: { readonly ref: Ref; readonly of: (state: ReplicaDelta) => object };
}

const VIEW_VERSION_HEADER = 'memplane-view-version';

/** What a caller may ask of other replicas: what reads reflect, and where writes are. */
export class Consistency {
  readonly #parts: ConsistencyParts;

  constructor(parts: ConsistencyParts) {
    this.#parts = parts;
  }

  /**
   * Reads once this replica has what the query's tokens stand for. The answer's token is taken after
   * the read, so it stands for all that the answer shows.
   * @throws MemplaneError `invalid_token`, `not_yet_visible`, `no_quorum`, and what the reading throws
   */
  async answer(query: ReadQuery, signal: AbortSignal, reading: Reading): Promise<RouteReply> {
    await this.#wait(query, signal);
    const shown =
      query.read === 'quorum' && reading.quorum !== undefined
        ? await this.#readQuorum(reading.local, reading.quorum)
        : await reading.local();
    const token = query.token ? { token: await this.#shownToken() } : {};
    const viewVersion = this.#parts.members?.viewVersion ?? 1;
    return {
      ...ok({ ...shown, ...token }),
      headers: { [VIEW_VERSION_HEADER]: String(viewVersion) },
    };
  }

  /**
   * Waits for the majority that a write asks for, and gives the members that its answer has besides.
   * @throws MemplaneError `no_quorum`; the write stays
   */
  async written(query: WriteQuery, command: Command): Promise<{ readonly token?: string }> {
    if (query.write === 'quorum' && !this.#isAlone) {
      const { writes } = this.#parts;
      if (writes === undefined) throw this.#notReplicated(' The write is durable here.');
      await writes.confirmed(command);
    }
    if (!query.token) return {};
    const commit = commitOf(command);
    // What was there already came with some commit that is not remembered: one of all that are here.
    if (commit === undefined) return { token: await this.#shownToken() };
    return { token: encodeSessionToken(new Map([[commit.incarnation, commit.number]])) };
  }

  async #wait({ after, waitMs }: ReadQuery, signal: AbortSignal): Promise<void> {
    if (after === undefined) return;
    const { engine, wait_ms_max } = this.#parts;
    const needs = joinVectors(after.map((token) => decodeSessionToken(token, 'query.after')));
    const limitMs = waitMs ?? wait_ms_max;
    const ending = AbortSignal.any([signal, AbortSignal.timeout(limitMs)]);
    if (await waitUntilCovered(engine, needs, ending)) return;
    throw new MemplaneError(
      'not_yet_visible',
      `This replica does not have all that the token stands for, after ${limitMs} ms.`,
      { field: 'query.after', retryAfterMs: 1_000 },
    );
  }

  async #readQuorum(
    local: Reading['local'],
    { ref, of: show }: NonNullable<Reading['quorum']>,
  ): Promise<object> {
    const { quorum, replicaId } = this.#parts;
    if (this.#isAlone) return { ...(await local()), quorum: { replicas: [replicaId], of: 1 } };
    if (quorum === undefined) throw this.#notReplicated();
    // The joined state that is at a majority, never a newer one that only this replica has.
    const { state, replicas, of } = await quorum.read(ref);
    return { ...show(state), quorum: { replicas, of } };
  }

  async #shownToken(): Promise<string> {
    return encodeSessionToken(await this.#parts.engine.shownVector());
  }

  /** One replica is a majority of one, and always will be: what it has is what a quorum has. */
  get #isAlone(): boolean {
    const { isFixed, shown } = this.#parts.sets;
    return isFixed && shown.replicas.length === 1;
  }

  #notReplicated(more = ''): MemplaneError {
    const words =
      'The replica set has others, but this replica does not replicate: it has no ' +
      `MEMPLANE_GOSSIP_JOIN, or its storage can not.${more}`;
    return new MemplaneError('no_quorum', words, {
      retryAfterMs: 1_000,
      extra: { replicaSet: this.#parts.sets.shown.replicas },
    });
  }
}
