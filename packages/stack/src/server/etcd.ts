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
}

export interface EtcdPlan extends ServerPlan {
  readonly port: number;
}

/** One etcd member: a Raft group of one. */
export async function etcdPlan(options: EtcdOptions): Promise<EtcdPlan> {
  const command = await etcdBinary();
  const [free = 0, freePeer = 0] = await freePorts(2);
  const port = options.port ?? free;
  const peerPort = options.peerPort ?? freePeer;
  const { dir } = options;
  const client = `http://127.0.0.1:${port}`;
  const peer = `http://127.0.0.1:${peerPort}`;
  return {
    name: options.name ?? 'etcd',
    version: ETCD_VERSION,
    command,
    args: [
      ...['--name=one', `--data-dir=${join(dir, 'data')}`, '--log-level=warn'],
      ...[`--listen-client-urls=${client}`, `--advertise-client-urls=${client}`],
      ...[`--listen-peer-urls=${peer}`, `--initial-advertise-peer-urls=${peer}`],
      `--initial-cluster=one=${peer}`,
      // Old revisions go after an hour; the state API reads the newest only.
      ...['--auto-compaction-mode=periodic', '--auto-compaction-retention=1h'],
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
