import { randomBytes } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { eventually, ScratchFolder } from '@memplane/testkit';
import type { HostAndPort } from './add-many.ts';
import { OwnRedis } from './own-redis.ts';
import { Replica } from './replica.ts';
import { ReplicaNet } from './replica-net.ts';

export const HEARTBEAT_MS = 500;
export const HEARTBEATS_MISSED_MAX = 3;
export const SYNC_MS = 100;
export const OPERATOR = { 'memplane-operator-token': 'an-operator' };
/** Until when each side of a cut has to know. */
export const ALERT_MS = HEARTBEATS_MISSED_MAX * HEARTBEAT_MS + 1_000;

const GOSSIP_PORT = 7946;
const HTTP_PORT = 7103;
const ALL_SEE_ALL_MS = 30_000;
const STORAGE_READY_MS = 20_000;
const RESP_PORT = 6390;
const ALL_ADDRESSES = '0.0.0.0';

export interface FleetOptions {
  /** Each has a Redis of its own, in place of a folder. */
  readonly onRedis: boolean;
}

/** For so long after its Redis is back a replica may say that it is away. */
const STORAGE_BACK_MS = 3_000;

/** Replicas of crdt-sync, each a process in a network namespace of its own. */
export class Fleet implements AsyncDisposable {
  readonly net: ReplicaNet;
  readonly #folder = new ScratchFolder('replicas');
  readonly #key = randomBytes(32).toString('base64');
  readonly #ids: readonly string[];
  readonly #running = new Map<string, Replica>();
  readonly #redis = new Map<string, OwnRedis>();
  readonly onRedis: boolean;

  private constructor(net: ReplicaNet, ids: readonly string[], { onRedis }: FleetOptions) {
    this.net = net;
    this.#ids = ids;
    this.onRedis = onRedis;
  }

  /** All of them run and see each other when it resolves. @param ids they are the replica set */
  static async start(ids: readonly string[], options = { onRedis: false }): Promise<Fleet> {
    const fleet = new Fleet(await ReplicaNet.create(ids), ids, options);
    try {
      await Promise.all(ids.map((id) => fleet.start(id)));
      await fleet.allSeeAll();
      return fleet;
    } catch (error) {
      await fleet[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** The ids of those that run. */
  get ids(): string[] {
    return [...this.#running.keys()].sort();
  }

  /** Those that run. */
  get all(): Replica[] {
    return this.ids.map((id) => this.at(id));
  }

  /** @throws RangeError where it does not run */
  at(id: string): Replica {
    const replica = this.#running.get(id);
    if (replica === undefined) throw new RangeError(`${id} does not run`);
    return replica;
  }

  async start(id: string): Promise<Replica> {
    const { net } = this;
    const storage = this.onRedis
      ? await this.#redisEnv(id)
      : { MEMPLANE_DATA_DIR: this.#dirOf(id) };
    const replica = await Replica.start({
      id,
      enter: net.enter(id),
      url: `http://${net.managementAddress(id)}:${HTTP_PORT}`,
      env: {
        MEMPLANE_HOST: ALL_ADDRESSES,
        ...storage,
        MEMPLANE_REPLICA_ID: id,
        MEMPLANE_REPLICA_SET: [...new Set([...this.#ids, id])].join(),
        MEMPLANE_GOSSIP_JOIN: this.#ids.map((each) => this.#gossipAt(each)).join(),
        MEMPLANE_GOSSIP_HOST: net.gossipAddress(id),
        MEMPLANE_GOSSIP_PORT: `${GOSSIP_PORT}`,
        MEMPLANE_GOSSIP_KEYS: this.#key,
        MEMPLANE_GOSSIP_JOIN_INTERVAL_MS: '500',
        MEMPLANE_HEARTBEAT_INTERVAL_MS: `${HEARTBEAT_MS}`,
        MEMPLANE_HEARTBEATS_MISSED_MAX: `${HEARTBEATS_MISSED_MAX}`,
        MEMPLANE_SYNC_INTERVAL_MS: `${SYNC_MS}`,
        MEMPLANE_SET_ELEMENTS_MAX: '200000',
        MEMPLANE_OPERATOR_TOKEN: OPERATOR['memplane-operator-token'],
      },
    });
    this.#running.set(id, replica);
    return replica;
  }

  async end(id: string, signal: NodeJS.Signals): Promise<void> {
    const replica = this.at(id);
    this.#running.delete(id);
    await replica.end(signal);
  }

  /** @throws RangeError where it has none */
  redisOf(id: string): OwnRedis {
    const redis = this.#redis.get(id);
    if (redis === undefined) throw new RangeError(`${id} has no Redis`);
    return redis;
  }

  /** Whether its Redis was away then, or may seem so still. */
  wasStorageDownSince(id: string, atMs: number): boolean {
    return this.#redis.get(id)?.wasDownSince(atMs - STORAGE_BACK_MS) ?? false;
  }

  /** Waits until it has found its Redis again, if it runs. */
  async storageBack(id: string): Promise<void> {
    const replica = this.#running.get(id);
    if (replica === undefined) return;
    await eventually(`${id} is ready`, STORAGE_READY_MS, async () => {
      return (await replica.ask('GET', '/readyz')).status === 200 || undefined;
    });
  }

  /** Where its RESP port is reached. */
  respOf(id: string): HostAndPort {
    return { host: this.net.managementAddress(id), port: RESP_PORT };
  }

  /** Takes away all that one keeps, while it does not run. */
  async deleteFolder(id: string): Promise<void> {
    await rm(this.#dirOf(id), { recursive: true });
  }

  /** Waits until each that runs lives at each other, and was heard lately. */
  async allSeeAll(): Promise<void> {
    const count = this.#running.size - 1;
    await eventually('all see all', ALL_SEE_ALL_MS, async () => {
      const heard = await Promise.all(
        this.all.map((one) => one.heard(2 * HEARTBEAT_MS).catch(() => [])),
      );
      return heard.every((ids) => ids.length === count) || undefined;
    });
  }

  /** Waits until all read the same. @returns how long it took, with reading */
  async allEqual(limitMs: number, read: (replica: Replica) => Promise<string>): Promise<number> {
    const startMs = performance.now();
    const isEqual = async () => new Set(await Promise.all(this.all.map(read))).size === 1;
    const probe = async () => (await isEqual()) || undefined;
    await eventually('all read the same', limitMs, probe).catch(async (error) => {
      const states = await Promise.all(this.all.map((one) => one.get('/readyz')));
      const lines = this.ids.map((id, i) => `${id} ${JSON.stringify(states[i])}`);
      throw new Error([String(error), ...lines].join('\n'));
    });
    return performance.now() - startMs;
  }

  /**
   * Waits until all values are the same everywhere, as each finds by itself and by asking the others.
   * What was lost at the one that wrote it may be on its way still, where all read the same before.
   */
  async allHaveOneDigest(limitMs: number): Promise<void> {
    let why = '';
    const probe = async () => {
      try {
        const digests: string[] = [];
        for (const replica of this.all) digests.push(await replica.digest());
        why = `${this.ids}: ${digests}`;
        return new Set(digests).size === 1 || undefined;
      } catch (error) {
        why = String(error);
        return undefined;
      }
    };
    await eventually('all have one digest', limitMs, probe).catch((error) => {
      throw new Error(`${error}; ${why}`);
    });
  }

  /** All that the replicas have printed, for when something fails. */
  get output(): string {
    return this.all.map(({ id, output }) => `--- ${id}\n${output}`).join('\n');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.all.map((replica) => replica.end('SIGKILL')));
    await Promise.all([...this.#redis.values()].map((redis) => redis.end()));
    await this.net[Symbol.asyncDispose]();
    this.#folder[Symbol.dispose]();
  }

  /** It runs when this resolves. */
  async #redisEnv(id: string): Promise<Record<string, string>> {
    const { net } = this;
    const address = net.managementAddress(id);
    if (!this.#redis.has(id)) {
      const place = { dir: this.#dirOf(id), enter: net.enter(id), address };
      this.#redis.set(id, await OwnRedis.start(place));
    }
    return OwnRedis.env(address);
  }

  #dirOf(id: string): string {
    return join(this.#folder.path, id);
  }

  #gossipAt(id: string): string {
    return `${this.net.gossipAddress(id)}:${GOSSIP_PORT}`;
  }
}
