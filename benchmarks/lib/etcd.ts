import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { goBinary } from '@memplane/stack';

const MODULE = fileURLToPath(new URL('../etcd', import.meta.url));
const run = promisify(execFile);

export interface EtcdLoad {
  readonly endpoints: readonly string[];
  readonly do: 'put' | 'mutex';
  /** Each on a key of its own. */
  readonly clients: number;
  /** Of each value that is put. */
  readonly bytes?: number;
  readonly durationMs: number;
}

/** What etcd's own client does. @returns how many a second */
export async function etcdRate(load: EtcdLoad): Promise<number> {
  const program = {
    part: 'bench-etcd',
    version: '3.7.0',
    says: "building a load of etcd's own client (a minute, only once)",
    module: MODULE,
    targets: ['.'],
    sources: ['main.go'],
  };
  const { stdout } = await run(await goBinary(program, 'bench-etcd'), [
    ...['-endpoints', load.endpoints.join(','), '-do', load.do, '-clients', `${load.clients}`],
    ...['-bytes', `${load.bytes ?? 0}`, '-for', `${load.durationMs}ms`],
  ]);
  return Number(stdout);
}
