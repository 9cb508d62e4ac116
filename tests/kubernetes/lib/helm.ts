import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { helmBinary } from '@memplane/stack';
import { chart, NAMESPACE, nested, RELEASE, type Values } from '../../helm/lib/render.ts';

const WAIT = ['--wait', '--timeout', '300s'];
const run = promisify(execFile);

/** The chart as a release in a cluster, by helm itself. */
export class Release implements Disposable {
  readonly #kubeconfig: string;
  readonly #dir = mkdtempSync(join(tmpdir(), 'memplane-release-'));

  constructor(kubeconfig: string) {
    this.#kubeconfig = kubeconfig;
  }

  /** @param set the name of a file of the chart's `ci`, without its end */
  install(set: string, values: Values = {}): Promise<string> {
    return this.#helm('install', RELEASE, chart, ...WAIT, ...this.#values(set, values));
  }

  upgrade(set: string, values: Values = {}): Promise<string> {
    return this.#helm('upgrade', RELEASE, chart, ...WAIT, ...this.#values(set, values));
  }

  rollback(revision: number): Promise<string> {
    return this.#helm('rollback', RELEASE, String(revision), ...WAIT);
  }

  uninstall(): Promise<string> {
    return this.#helm('uninstall', RELEASE, ...WAIT);
  }

  /** The revisions' states, the first one's first. */
  async history(): Promise<string[]> {
    const text = await this.#helm('history', RELEASE, '--output', 'json');
    return (JSON.parse(text) as { status: string }[]).map(({ status }) => status);
  }

  [Symbol.dispose](): void {
    rmSync(this.#dir, { recursive: true });
  }

  #values(set: string, values: Values): string[] {
    const own = join(this.#dir, 'values.yaml');
    writeFileSync(own, JSON.stringify(nested(values)));
    return ['--values', join(chart, 'ci', `${set}-values.yaml`), '--values', own];
  }

  /** @throws Error with what helm says, of a failure or a warning of the server */
  async #helm(...args: string[]): Promise<string> {
    const env = {
      ...process.env,
      ...{ HELM_CACHE_HOME: this.#dir, HELM_CONFIG_HOME: this.#dir, HELM_DATA_HOME: this.#dir },
    };
    const access = ['--kubeconfig', this.#kubeconfig, '--namespace', NAMESPACE];
    const { stdout, stderr } = await run(await helmBinary(), [...args, ...access], { env });
    if (stderr !== '') throw new Error(`helm ${args[0]} warns: ${stderr}`);
    return stdout;
  }
}
