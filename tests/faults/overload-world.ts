import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Plane, ScratchFolder, writeTenants } from '@memplane/testkit';
import { type AcknowledgedPlaces, acknowledge, checkAcknowledged } from './acknowledged.ts';
import type { LoadOrder, Stream, StreamResult } from './overload-load.ts';

export const CLIENTS = 1_000;
/** Of about 400 bytes, in each request. */
export const EVENTS = 20;
/** Of the plane's core: where others have more of it, times say nothing. */
const OTHERS_PART_MAX = 0.3;
const PLANE_CORE = 0;
const LOAD_CORE = 1;
const CATCH_UP_TIMEOUT_MS = 600_000;

/** A plane on a core of its own, and on another those who ask it. */
export class OverloadWorld implements AsyncDisposable {
  readonly plane: Plane;
  readonly #folder: ScratchFolder;
  readonly #load: ChildProcess;
  readonly #loadEnded: Promise<never>;

  private constructor(plane: Plane, folder: ScratchFolder) {
    this.plane = plane;
    this.#folder = folder;
    const program = fileURLToPath(new URL('./overload-load.ts', import.meta.url));
    const command = ['--cpu-list', String(LOAD_CORE), process.execPath, program];
    this.#load = spawn('taskset', command, {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      serialization: 'advanced',
    });
    this.#loadEnded = once(this.#load, 'exit').then(([code]) => {
      throw new Error(`the load has ended (${code})`);
    });
    this.#loadEnded.catch(() => {});
  }

  /** @param tenants the name of each is its token too; none: nobody is told apart */
  static async start(
    env: Readonly<Record<string, string>>,
    tenants: readonly string[] = [],
  ): Promise<OverloadWorld> {
    const folder = new ScratchFolder('overload');
    const dataDir = folder.path;
    const tokens = tenants.map((tenant) => [tenant, { tenant, roles: ['writer'] }] as const);
    const file = writeTenants(dataDir, Object.fromEntries(tokens));
    const told = tenants.length > 0 ? { MEMPLANE_TENANTS: file } : {};
    const plane = await Plane.start({ dataDir, core: PLANE_CORE, env: { ...env, ...told } });
    return new OverloadWorld(plane, folder);
  }

  /** @returns what each had, and which part of the plane's core others had meanwhile, from 0 to 1 */
  async run(
    streams: readonly Stream[],
    durationMs: number,
  ): Promise<{ readonly results: StreamResult[]; readonly othersPart: number }> {
    const port = this.plane.ports['event-ingest'];
    const [startedMs, before] = [performance.now(), othersMs(PLANE_CORE, this.plane.pid)];
    const results = await this.#ask<StreamResult[]>({ port, streams, durationMs });
    const tookMs = performance.now() - startedMs;
    const othersPart = Math.max(0, othersMs(PLANE_CORE, this.plane.pid) - before) / tookMs;
    const percent = Math.round(othersPart * 100);
    assert.ok(
      othersPart <= OTHERS_PART_MAX,
      `others had ${percent} % of the plane's core: too loud`,
    );
    for (const { name, answers } of results) {
      const unexpected = Object.keys(answers).filter((status) => !['201', '429'].includes(status));
      assert.deepEqual(unexpected, [], `${name}: only 201 and 429 are answered`);
    }
    return { results, othersPart };
  }

  async one(
    stream: Partial<Stream>,
    durationMs: number,
  ): Promise<StreamResult & { readonly othersPart: number }> {
    const all = { name: 'all', clients: CLIENTS, events_per_request: EVENTS };
    const { results, othersPart } = await this.run([{ ...all, ...stream }], durationMs);
    const [result] = results;
    if (result === undefined) throw new Error('no result');
    return { ...result, othersPart };
  }

  /**
   * Nothing that was acknowledged is missing from the log, or other there; two that are planted are
   * found. @returns how many were acknowledged
   */
  async assertKept(): Promise<number> {
    const places = await this.#ask<AcknowledgedPlaces>('places');
    const [[partition, slots] = []] = places;
    assert.ok(partition !== undefined && slots !== undefined, 'something was acknowledged');
    const planted = [slots.findIndex((hash) => hash !== 0), slots.length];
    for (const offset of planted) acknowledge(places, { partition, offset, id: 'planted' });
    const { materializer } = this.plane;
    const found = await checkAcknowledged(places, materializer, CATCH_UP_TIMEOUT_MS);
    const expected = planted.map((offset) => `acknowledged but lost: ${partition}/${offset}`);
    assert.deepEqual(found.lost.slice(0, 20), expected);
    return found.acknowledged - 1;
  }

  async #ask<T>(order: LoadOrder | 'places'): Promise<T> {
    this.#load.send(order);
    const [answer] = await Promise.race([once(this.#load, 'message'), this.#loadEnded]);
    return answer as T;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#load.kill('SIGKILL');
    await this.plane[Symbol.asyncDispose]();
    this.#folder[Symbol.dispose]();
  }
}

const TICK_MS = 10;

/** How long a core has worked for all but one process, in ms: from the kernel's own books. */
function othersMs(core: number, pid: number): number {
  const ofCore = new RegExp(`^cpu${core} (.*)$`, 'm').exec(readFileSync('/proc/stat', 'utf8'));
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0, steal = 0] = (ofCore?.[1] ?? '')
    .split(' ')
    .map(Number);
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const own = Number(fields[11]) + Number(fields[12]);
  return (user + nice + system + irq + softirq + steal - own) * TICK_MS;
}
