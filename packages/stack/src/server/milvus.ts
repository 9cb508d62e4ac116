import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { freePorts } from '@memplane/testkit/ports';
import { MILVUS_VERSION, milvusFolder } from '../build/milvus.ts';
import { checkHttp } from './http-check.ts';
import type { ServerPlan } from './plan.ts';

/** Every port that the standalone server opens; only the first is for clients. */
const PORTS = [
  ...['proxy_port', 'proxy_internal_port', 'etcd_port', 'root_coord_port', 'query_coord_port'],
  ...['query_node_port', 'index_coord_port', 'index_node_port', 'data_coord_port'],
  'data_node_port',
  // Not a setting of Milvus: see `etcdSettings`.
  'etcd_peer_port',
];

const GRACEFUL_STOP_SECONDS = 2;

export interface MilvusOptions {
  readonly dir: string;
  readonly name?: string;
  /** Of gRPC, for clients. */
  readonly port?: number;
  /** Of health and metrics. */
  readonly metricsPort?: number;
  /** The first of ten ports in a row that its parts talk to each other by. */
  readonly internalPortBase?: number;
}

export interface MilvusPlan extends ServerPlan {
  readonly port: number;
  readonly metricsPort: number;
}

/** A standalone Milvus with its own embedded etcd and message queue. */
export async function milvusPlan(options: MilvusOptions): Promise<MilvusPlan> {
  const folder = await milvusFolder();
  const [metricsFree = 0, ...free] = await freePorts(PORTS.length + 1);
  const port = options.port ?? free[0] ?? 0;
  const metricsPort = options.metricsPort ?? metricsFree;
  const base = options.internalPortBase;
  const internal = (index: number) => (base === undefined ? (free[index] ?? 0) : base + index - 1);
  const ports = Object.fromEntries(
    PORTS.map((name, index) => [name, index === 0 ? port : internal(index)]),
  );
  const { dir } = options;
  return {
    name: options.name ?? 'milvus',
    version: MILVUS_VERSION,
    command: join(folder, 'milvus'),
    args: ['run', 'standalone'],
    cwd: dir,
    env: {
      DEPLOY_MODE: 'STANDALONE',
      METRICS_PORT: String(metricsPort),
      MILVUS_RUN_DIR: join(dir, 'run'),
      LD_LIBRARY_PATH: folder,
      // Threads that build an index wait for each other thousands of times: by spinning, they take
      // busy cores from each other, and a build of seconds takes minutes.
      OMP_WAIT_POLICY: 'PASSIVE',
    },
    ports: [...Object.values(ports), metricsPort],
    logFile: join(dir, 'milvus.log'),
    prepare: async () => prepare(dir, folder, ports),
    check: () => checkHttp(`http://127.0.0.1:${metricsPort}/healthz`),
    readyTimeoutMs: 120_000,
    stopTimeoutMs: 30_000,
    port,
    metricsPort,
  };
}

function prepare(dir: string, folder: string, ports: Readonly<Record<string, number>>): void {
  for (const name of ['configs', 'data', 'logs', 'run']) {
    mkdirSync(join(dir, name), { recursive: true });
  }
  const values: Record<string, string | number> = {
    ...ports,
    etcd_log_path: join(dir, 'logs', 'etcd.log'),
    etcd_log_level: 'warn',
    etcd_data_dir: join(dir, 'data', 'etcd.data'),
    local_storage_dir: join(dir, 'data'),
    rocksmq_data_dir: join(dir, 'data', 'rocksmq'),
    system_log_path: join(dir, 'logs'),
  };
  const template = readFileSync(join(folder, 'config.yaml.template'), 'utf8');
  const settings = template.replace(
    /\{\{\s*(\w+)(?:\(\w+\))?(?::\s*(.*?))?\s*\}\}/g,
    (_, name: string, fallback: string | undefined) => String(values[name] ?? fallback ?? ''),
  );
  const etcdFile = join(dir, 'configs', 'etcd.yaml');
  writeFileSync(etcdFile, etcdSettings(ports));
  const written = settings
    .replace(/^etcd:\n/m, `etcd:\n  config:\n    path: ${etcdFile}\n`)
    // It would wait half an hour for another node to take what it serves; there is none.
    .replace(/^( +gracefulStopTimeout:) .*$/m, `$1 ${GRACEFUL_STOP_SECONDS}`);
  writeFileSync(join(dir, 'configs', 'milvus.yaml'), written);
  copyFileSync(join(folder, 'glog.conf'), join(dir, 'configs', 'glog.conf'));
}

/**
 * The etcd inside Milvus takes its ports from a file of its own: without one it listens on 2379 and
 * 2380, and a second Milvus on the machine does not start.
 */
function etcdSettings(ports: Readonly<Record<string, number>>): string {
  const client = `http://127.0.0.1:${ports['etcd_port']}`;
  const peer = `http://127.0.0.1:${ports['etcd_peer_port']}`;
  return [
    'name: default',
    `listen-client-urls: ${client}`,
    `advertise-client-urls: ${client}`,
    `listen-peer-urls: ${peer}`,
    `initial-advertise-peer-urls: ${peer}`,
    `initial-cluster: default=${peer}`,
    '',
  ].join('\n');
}
