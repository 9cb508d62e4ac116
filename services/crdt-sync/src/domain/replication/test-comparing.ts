import { randomBytes } from 'node:crypto';
import { cloneSet, emptySet, type OrSetState } from '@memplane/crdt';
import { joinAll } from '../join-all.ts';
import type { CrdtStore } from '../port.ts';
import { TestReplica } from '../test-replica.ts';
import { Comparing } from './comparing.ts';
import { type Caller, LargeCalls } from './large-calls.ts';

type Handler = (from: string, bytes: Uint8Array) => Promise<Uint8Array>;

/** Replicas in one process that reach each other at once; counts what goes over the wire. */
export class ComparingWire {
  bytes = 0;
  calls = 0;
  readonly #handlers = new Map<string, Map<number, Handler>>();

  start(id: string, store: CrdtStore, set_elements_max?: number): Promise<ComparingReplica> {
    return comparingReplica(id, store, this.#caller(id), set_elements_max);
  }

  #caller(self: string): Caller {
    const handlers = new Map<number, Handler>();
    this.#handlers.set(self, handlers);
    return {
      call: async (to, method, question) => {
        const handler = this.#handlers.get(to)?.get(method);
        if (handler === undefined) throw new Error(`${to} has no method ${method}`);
        const answer = await handler(self, question);
        this.bytes += question.length + answer.length;
        this.calls++;
        return answer;
      },
      onCall: (method, handler) => handlers.set(method, handler),
    };
  }
}

/** @param set_elements_max that the replica takes of its own clients */
export async function comparingReplica(
  id: string,
  store: CrdtStore,
  caller: Caller,
  set_elements_max = 10_000,
): Promise<ComparingReplica> {
  const replica = await TestReplica.start({
    id,
    store,
    now: Date.now,
    newIncarnation: () => randomBytes(16).toString('hex'),
    told: () => {},
    set_elements_max,
  });
  return new ComparingReplica(id, replica, caller);
}

export class ComparingReplica {
  readonly id: string;
  readonly replica: TestReplica;
  readonly comparing: Comparing;
  life = 1;

  constructor(id: string, replica: TestReplica, caller: Caller) {
    this.id = id;
    this.replica = replica;
    const { engine, executor, options } = replica;
    const calls = new LargeCalls({
      caller,
      life: () => this.life,
      now: () => performance.now(),
      callTimeoutMs: 60_000,
      chunk_bytes_max: 512 * 1024,
      answer_bytes_max: 256 * 1024 * 1024,
      keptMs: 60_000,
    });
    this.comparing = new Comparing({
      store: options.store,
      calls,
      life: () => this.life,
      known: () => executor.known,
      shown: () => executor.shown,
      expect: (theirs) => executor.expect(theirs),
      joinAll: (delta) => joinAll(engine, delta),
      advance: (ranges) => executor.advance(ranges),
      answerTimeoutMs: 60_000,
      values_names_max: 1_024,
      values_bytes_max: 1024 * 1024,
      pieced_from_elements: 50,
    });
  }

  async catchUp(peer: string): Promise<void> {
    await this.comparing.catchUp(peer, new AbortController().signal);
  }

  async add(name: string, elements: readonly string[]): Promise<void> {
    for (let at = 0; at < elements.length; at += 1_000) {
      await this.#ask('set-add', name, elements.slice(at, at + 1_000));
    }
  }

  async remove(name: string, elements: readonly string[]): Promise<void> {
    for (let at = 0; at < elements.length; at += 1_000) {
      await this.#ask('set-remove', name, elements.slice(at, at + 1_000));
    }
  }

  async reset(name: string): Promise<void> {
    await this.#ask('set-reset', name, []);
  }

  async setOf(name: string): Promise<OrSetState> {
    const { set } = await this.replica.options.store.state({ tenant: 'default', name });
    return cloneSet(set ?? emptySet());
  }

  async digests(): Promise<string> {
    const found = await this.replica.options.store.digests({ after: undefined, limit: 1_000 });
    return found
      .map(({ tenant, type, name, digest }) => [tenant, type, name, digest].join())
      .join();
  }

  async #ask(
    type: 'set-add' | 'set-remove' | 'set-reset',
    name: string,
    elements: readonly string[],
  ): Promise<void> {
    const { error } = await this.replica.ask({ type, name, elements });
    if (error !== undefined) throw error;
  }
}
