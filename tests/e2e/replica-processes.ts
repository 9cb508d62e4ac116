import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { eventually } from '@memplane/testkit';
import { freePorts } from '@memplane/testkit/ports';
import { type Answer, TestInstance } from '../../services/crdt-sync/src/test-instance.ts';

export interface ReplicaAlert {
  readonly code: string;
  readonly subject: string;
  readonly detail: string;
  readonly count: number;
  readonly clearedAt?: string;
}

export interface ReplicaMember {
  readonly replica: string;
  readonly state: string;
  readonly self: boolean;
  readonly incarnation: string;
  readonly viewVersion: number;
  readonly replicaSet: boolean;
  readonly heardMs?: number;
}

export const HEARTBEAT_INTERVAL_MS = 200;
export const OPERATOR = { 'memplane-operator-token': 'an-operator' };

/** Replicas of crdt-sync on one machine, each a process with a folder of its own. */
export class ReplicaProcesses {
  readonly running = new Map<string, TestInstance>();
  readonly key = randomBytes(32).toString('base64');
  readonly dir: string;
  readonly #ids: readonly string[];
  readonly #env: Readonly<Record<string, string>>;
  readonly #ports: ReadonlyMap<string, number>;

  private constructor(
    ids: readonly string[],
    env: Readonly<Record<string, string>>,
    parts: { dir: string; ports: ReadonlyMap<string, number> },
  ) {
    this.#ids = ids;
    this.#env = env;
    this.dir = parts.dir;
    this.#ports = parts.ports;
  }

  /** @param strangers ids that may be started too, and are in nobody's list */
  static async start(
    ids: readonly string[],
    options: { env?: Record<string, string>; strangers?: readonly string[] } = {},
  ): Promise<ReplicaProcesses> {
    const { env = {}, strangers = [] } = options;
    const dir = await mkdtemp(path.join(tmpdir(), 'memplane-replicas-'));
    const all = [...ids, ...strangers];
    const free = await freePorts(all.length);
    const ports = new Map(all.map((id, index) => [id, free[index] ?? 0]));
    const processes = new ReplicaProcesses(ids, env, { dir, ports });
    await Promise.all(ids.map((id) => processes.start(id)));
    await processes.allHearAll();
    return processes;
  }

  /** @param ports HTTP and RESP, where they are to be those of before */
  async start(
    id: string,
    env: Record<string, string> = {},
    ports?: readonly [number, number],
  ): Promise<void> {
    const address = (other: string) => `127.0.0.1:${this.#ports.get(other)}`;
    const settings = {
      MEMPLANE_DATA_DIR: path.join(this.dir, id),
      MEMPLANE_REPLICA_ID: id,
      MEMPLANE_REPLICA_SET: [...new Set([...this.#ids, id])].join(','),
      MEMPLANE_GOSSIP_JOIN: this.#ids.map(address).join(','),
      MEMPLANE_GOSSIP_PORT: String(this.#ports.get(id)),
      MEMPLANE_GOSSIP_KEYS: this.key,
      MEMPLANE_GOSSIP_JOIN_INTERVAL_MS: '500',
      MEMPLANE_HEARTBEAT_INTERVAL_MS: String(HEARTBEAT_INTERVAL_MS),
      MEMPLANE_OPERATOR_TOKEN: OPERATOR['memplane-operator-token'],
      MEMPLANE_LOG_LEVEL: 'info',
      ...this.#env,
      ...env,
    };
    const instance = await TestInstance.start(settings, ports);
    this.running.set(id, instance);
  }

  at(id: string): TestInstance {
    return this.running.get(id) ?? assert.fail(`${id} does not run`);
  }

  ask(id: string, method: string, url: string, body?: unknown, headers = {}): Promise<Answer> {
    return this.at(id).ask(method, url, body, headers);
  }

  async end(id: string, signal: NodeJS.Signals): Promise<void> {
    await this.at(id).kill(signal);
    this.running.delete(id);
  }

  /** Lets processes stand still while `work` is under way: to the others they are cut off. */
  async without<T>(ids: readonly string[], work: () => Promise<T>): Promise<T> {
    for (const id of ids) this.at(id).child.kill('SIGSTOP');
    try {
      return await work();
    } finally {
      for (const id of ids) this.at(id).child.kill('SIGCONT');
    }
  }

  async membersAt(id: string): Promise<ReplicaMember[]> {
    return (await this.ask(id, 'GET', '/v1/members')).body['members'] as ReplicaMember[];
  }

  async alertsAt(id: string): Promise<ReplicaAlert[]> {
    return (await this.ask(id, 'GET', '/v1/alerts')).body['alerts'] as ReplicaAlert[];
  }

  /** The others that live as one sees it, and whose heartbeats it hears. */
  async heardBy(id: string): Promise<string[]> {
    const members = await this.membersAt(id);
    return members
      .filter(({ self, state, heardMs }) => !self && state === 'alive' && heardMs !== undefined)
      .map(({ replica }) => replica);
  }

  async allHearAll(): Promise<void> {
    await eventually('all hear all', 20_000, async () => {
      const lists = await Promise.all(this.#ids.map((id) => this.heardBy(id)));
      return lists.every((list) => list.length === this.#ids.length - 1) || undefined;
    });
  }

  async stop(): Promise<void> {
    await Promise.all([...this.running.values()].map((instance) => instance.kill()));
    await rm(this.dir, { recursive: true, force: true });
  }
}
