import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { list, type Resource, root } from './render.ts';
import { environmentOf } from './services.ts';

export interface KubeletOptions {
  /** The pod's volumes, by name: kept over restarts where the same folder is given again. */
  readonly volumes: Readonly<Record<string, string>>;
  readonly fields: Readonly<Record<string, string>>;
  readonly secrets: (name: string, key: string) => string;
  /** ConfigMaps and secrets that are mounted, by their names; a secret's data as text. */
  readonly files?: Readonly<Record<string, Resource>>;
  /** In place of addresses of the cluster and of ports that others on this machine may have. */
  readonly env?: Readonly<Record<string, string>>;
  /** What is changed in commands and files, beside mount paths: addresses of this machine. */
  readonly texts?: (text: string) => string;
  /** The folder that stands for the image's `/app/`; the repository unless said otherwise. */
  readonly app?: string;
  /** The program is where the pod's user may not look: it runs as the test's. */
  readonly isOwnUser?: boolean;
  /** Where the pod's address is asked for; 127.0.0.1 unless said otherwise. */
  readonly address?: string;
  /** By the port of the container. */
  readonly ports?: Readonly<Record<string, number>>;
}

/**
 * Runs one container of a rendered pod as a process, as a kubelet would: its command and environment,
 * its volumes as folders in place of their mount paths, its user (where the test is root), its
 * probes, its end by the grace period. It has the file system of the machine, not of an image.
 */
export class ContainerProcess {
  readonly #pod: Resource;
  readonly #container: Resource;
  readonly #options: KubeletOptions;
  readonly #env: Readonly<Record<string, string>>;
  readonly #child: ChildProcess;
  readonly #inPlace: (text: string) => string;
  readonly exit: Promise<number | null>;
  said = '';

  constructor(pod: Resource, container: Resource, options: KubeletOptions) {
    this.#pod = pod;
    this.#container = container;
    this.#options = options;
    const user = Number(pod['spec']!['securityContext']!['runAsUser']);
    const mounts = this.#mounts(user);
    const paths = [...mounts.keys()].sort((a, b) => b.length - a.length).join('|');
    const atMount = new RegExp(`(^|[\\s=])(${paths})(?=$|[/\\s])`, 'gm');
    this.#inPlace = (text) => {
      const made = text.replaceAll(atMount, (_all, before, path) => before + mounts.get(path));
      return options.texts?.(made) ?? made;
    };
    this.#writeFiles();
    const env = environmentOf(container, options.fields, options.secrets);
    for (const [name, value] of Object.entries(env)) env[name] = this.#inPlace(value);
    this.#env = { PATH: '/usr/bin:/bin', ...env, ...options.env };
    const [command = '', ...args] = list(container['command']).map((word) =>
      this.#inPlace(String(word)).replace(/^\/app\//, options.app ?? root),
    );
    const program = command === 'node' ? process.execPath : command;
    // It ends with this process, however that ends.
    this.#child = spawn('setpriv', ['--pdeathsig', 'KILL', '--', program, ...args], {
      env: this.#env,
      ...(process.getuid?.() === 0 && !options.isOwnUser ? { uid: user, gid: user } : {}),
      cwd: '/',
    });
    this.#child.stdout?.on('data', (part) => (this.said += part));
    this.#child.stderr?.on('data', (part) => (this.said += part));
    this.exit = new Promise((resolve) => {
      this.#child.once('exit', (code) => resolve(code));
      this.#child.once('error', (error) => {
        this.said += error.message;
        resolve(-1);
      });
    });
  }

  /**
   * Asks the probe as often as it says, until it succeeds once.
   * @returns ms that it took @throws Error when it has failed too often, or the process has ended
   */
  async until(probe: 'startupProbe' | 'readinessProbe', attempts_max?: number): Promise<number> {
    const { periodSeconds, failureThreshold } = this.#container[probe]!;
    const max = attempts_max ?? Number(failureThreshold);
    const started = performance.now();
    for (let i = 0; i < max; i++) {
      if (await this.probe(probe)) return performance.now() - started;
      if (this.#child.exitCode !== null) throw new Error(`it has ended: ${this.said}`);
      await sleep(Number(periodSeconds) * 1_000);
    }
    throw new Error(`${probe} has failed ${max} times: ${this.said}`);
  }

  async probe(probe: 'startupProbe' | 'readinessProbe' | 'livenessProbe'): Promise<boolean> {
    const { httpGet, exec, timeoutSeconds } = this.#container[probe]!;
    if (exec !== undefined)
      return this.#execute(list(exec['command']).map(String), Number(timeoutSeconds));
    const named = list(this.#container['ports']).find(({ name }) => name === httpGet!['port']);
    const containerPort = Number(named?.['containerPort']);
    const port = this.#options.ports?.[containerPort] ?? containerPort;
    const signal = AbortSignal.timeout(Number(timeoutSeconds) * 1_000);
    const answer = await fetch(
      `http://${this.#options.address ?? '127.0.0.1'}:${port}${httpGet!['path']}`,
      { signal },
    ).catch(() => undefined);
    await answer?.body?.cancel();
    return answer !== undefined && answer.status >= 200 && answer.status < 400;
  }

  async #execute(command: readonly string[], timeoutSeconds: number): Promise<boolean> {
    const [program = '', ...args] = command.map(this.#inPlace);
    const child = spawn(program === 'node' ? process.execPath : program, args, {
      env: this.#env,
      stdio: 'ignore',
      timeout: timeoutSeconds * 1_000,
    });
    const [code] = await once(child, 'exit');
    return code === 0;
  }

  /** Its end: preStop, SIGTERM, and SIGKILL once the grace period is over. */
  async end(): Promise<{
    readonly code: number | null;
    readonly afterMs: number;
    readonly graceMs: number;
  }> {
    const graceMs = Number(this.#pod['spec']!['terminationGracePeriodSeconds']) * 1_000;
    const started = performance.now();
    await sleep(
      Number(this.#container['lifecycle']?.['preStop']?.['sleep']?.['seconds'] ?? 0) * 1_000,
    );
    this.#child.kill('SIGTERM');
    const left = graceMs - (performance.now() - started);
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), left);
    const code = await this.exit;
    clearTimeout(timer);
    return { code, afterMs: performance.now() - started, graceMs };
  }

  kill(): Promise<number | null> {
    this.#child.kill('SIGKILL');
    return this.exit;
  }

  /** Mount paths, and the folders that stand for them. */
  #mounts(user: number): Map<string, string> {
    const mounts = new Map<string, string>();
    for (const { name, mountPath } of list(this.#container['volumeMounts'])) {
      const folder = this.#options.volumes[String(name)];
      if (folder === undefined) throw new Error(`there is no volume ${name}`);
      mkdirSync(folder, { recursive: true });
      if (process.getuid?.() === 0) chownSync(folder, user, user);
      mounts.set(String(mountPath), folder);
    }
    return mounts;
  }

  /** What ConfigMaps and secrets hold, with the folders of this machine. */
  #writeFiles(): void {
    for (const volume of list(this.#pod['spec']!['volumes'])) {
      const folder = this.#options.volumes[String(volume['name'])];
      const source = volume['configMap']?.['name'] ?? volume['secret']?.['secretName'];
      const data = this.#options.files?.[String(source)]?.['data'] ?? {};
      if (folder === undefined) continue;
      for (const [file, text] of Object.entries(data)) {
        writeFileSync(join(folder, file), this.#inPlace(String(text)));
      }
    }
  }
}

/** A folder that pods of any user may reach. */
export class Scratch implements Disposable {
  readonly path: string;

  constructor() {
    this.path = mkdtempSync(join(tmpdir(), 'memplane-pod-'));
    chmodSync(this.path, 0o755);
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}
