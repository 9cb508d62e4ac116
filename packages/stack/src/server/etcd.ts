import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { freePorts } from '@memplane/testkit/ports';
import { ETCD_VERSION, etcdBinary } from '../build/go.ts';
import { checkHttp } from './http-check.ts';
import type { ServerPlan } from './plan.ts';

export interface EtcdOptions {
  readonly dir: string;
  readonly name?: string;
  readonly port?: number;
  readonly peerPort?: number;
  /** All members by name, each with the port that its peers reach it at; this one alone, when absent. */
  readonly members?: Readonly<Record<string, number>>;
  /** Flags beside the usual ones. */
  readonly args?: readonly string[];
}

export interface EtcdPlan extends ServerPlan {
  readonly port: number;
}

/** The members of one Raft group; they are to be started together. */
export async function etcdPlans(dir: string, count: number): Promise<EtcdPlan[]> {
  const ports = await freePorts(count * 2);
  const peerPorts = ports.slice(count);
  const name = (i: number) => `etcd-${i + 1}`;
  const members = Object.fromEntries(peerPorts.map((port, i) => [name(i), port]));
  return Promise.all(
    peerPorts.map((peerPort, i) =>
      etcdPlan({
        ...{ dir: join(dir, name(i)), name: name(i), peerPort, members },
        ...{ port: ports[i] ?? 0 },
      }),
    ),
  );
}

/** One etcd member: a Raft group of one, unless others are named. */
export async function etcdPlan(options: EtcdOptions): Promise<EtcdPlan> {
  const command = await etcdBinary();
  const [free = 0, freePeer = 0] = await freePorts(2);
  const port = options.port ?? free;
  const peerPort = options.peerPort ?? freePeer;
  const { dir, name = 'etcd' } = options;
  const members = options.members ?? { [name]: peerPort };
  const cluster = Object.entries(members).map(([one, at]) => `${one}=http://127.0.0.1:${at}`);
  const client = `http://127.0.0.1:${port}`;
  const peer = `http://127.0.0.1:${peerPort}`;
  return {
    name,
    version: ETCD_VERSION,
    command,
    args: [
      ...[`--name=${name}`, `--data-dir=${join(dir, 'data')}`, '--log-level=warn'],
      ...[`--listen-client-urls=${client}`, `--advertise-client-urls=${client}`],
      ...[`--listen-peer-urls=${peer}`, `--initial-advertise-peer-urls=${peer}`],
      `--initial-cluster=${cluster.join(',')}`,
      // Old revisions go after an hour; the state API reads the newest only.
      ...['--auto-compaction-mode=periodic', '--auto-compaction-retention=1h'],
      ...(options.args ?? []),
    ],
    cwd: dir,
    env: {},
    ports: [port, peerPort],
    logFile: join(dir, 'etcd.log'),
    prepare: async () => {
      mkdirSync(join(dir, 'data'), { recursive: true, mode: 0o700 });
    },
    check: () => checkHttp(`${client}/health`),
    readyTimeoutMs: 30_000,
    stopTimeoutMs: 10_000,
    port,
  };
}
