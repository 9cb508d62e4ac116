import { lstat, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import {
  type Cut,
  decodeToken,
  encodeToken,
  type IndexStatus,
  joinCuts,
} from '@memplane/contracts';
import {
  type AppendAnswer,
  type CallOptions,
  call,
  expectStatus,
  forEachAtMost,
  LostAnswer,
  Plane,
  ScratchFolder,
} from '@memplane/testkit';

export interface Shards {
  readonly shards: readonly { partition: number; appliedOffset: number; lag: number }[];
}

/** All that was acknowledged to one client, as one token. */
export class Acknowledged {
  #cut: Cut | undefined;

  add(token: string): void {
    const cut = decodeToken(token, 'token');
    this.#cut = this.#cut === undefined ? cut : joinCuts([this.#cut, cut]);
  }

  get token(): string {
    if (this.#cut === undefined) throw new Error('nothing is acknowledged yet');
    return encodeToken(this.#cut);
  }
}

/** Appends arrays of events over `writers` connections. */
export async function appendAll(
  plane: Pick<Plane, 'ingest'>,
  bodies: Iterable<unknown>,
  acknowledged: Acknowledged,
  writers = 8,
): Promise<void> {
  await forEachAtMost(writers, bodies, async (body) => {
    const url = `${plane.ingest}/v1/events`;
    const { token } = await expectStatus<AppendAnswer>(201, 'POST', url, { body });
    acknowledged.add(token);
  });
}

/** What has to be asked to know how far views and index are. */
export interface Applying {
  readonly materializer: string;
  readonly vectors: string;
  /** Of a plane that has ended. */
  readonly exit?: unknown;
}

/** Events that the views and the index have not applied yet. */
export async function lags(plane: Applying): Promise<{ views: number; index: number }> {
  const [{ shards }, { generations }] = await Promise.all([
    expectStatus<Shards>(200, 'GET', `${plane.materializer}/v1/shards`),
    expectStatus<IndexStatus>(200, 'GET', `${plane.vectors}/v1/index`),
  ]);
  const live = generations.find(({ state }) => state === 'live')?.partitions ?? [];
  let [views, index] = [0, 0];
  for (const { partition, appliedOffset, lag } of shards) {
    const indexed = live.find((one) => one.partition === partition)?.applied ?? -1;
    views += lag;
    index += lag + Math.max(0, appliedOffset - indexed);
  }
  return { views, index };
}

/** Waits until all that is in the log is in the views and in the index. */
export async function untilApplied(plane: Applying, timeoutMs = 600_000): Promise<void> {
  const end = performance.now() + timeoutMs;
  for (;;) {
    // A connection that was idle for long may be closed in the moment of its next use.
    const behind = await lags(plane).catch((error: unknown) => {
      if (plane.exit !== undefined || !(error instanceof LostAnswer)) throw error;
      return undefined;
    });
    if (behind?.views === 0 && behind.index === 0) return;
    if (performance.now() > end) throw new Error(`still behind: ${JSON.stringify(behind)}`);
    await setTimeout(20);
  }
}

const CALM_CPU = 0.1;
const CALM_STEP_MS = 1_000;

/** Waits until a plane has done what it does after a load, such as compaction. */
export async function untilCalm(plane: Plane, timeoutMs = 120_000): Promise<void> {
  const end = performance.now() + timeoutMs;
  for (let before = await cpuMsOf(plane.pid); performance.now() < end; ) {
    await setTimeout(CALM_STEP_MS);
    const now = await cpuMsOf(plane.pid);
    if (now - before < CALM_CPU * CALM_STEP_MS) return;
    before = now;
  }
  throw new Error(`the plane is still busy after ${timeoutMs} ms`);
}

/** CPU time that a process has used, in ms; Linux counts it in hundredths of a second. */
export async function cpuMsOf(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

/**
 * Asks again and again from the moment of the exec on: while nobody listens, and while the answer
 * is that it has to wait.
 * @returns milliseconds since `started`
 */
export async function firstAnswer(
  started: number,
  ask: () => Promise<{ status: number; text: string }>,
  timeoutMs = 60_000,
): Promise<number> {
  for (;;) {
    try {
      const { status, text } = await ask();
      if (status === 200) return performance.now() - started;
      if (status !== 503) throw new Error(`${status}: ${text.slice(0, 500)}`);
    } catch (error) {
      if (!(error instanceof LostAnswer)) throw error;
    }
    if (performance.now() - started > timeoutMs) throw new Error('no answer in time');
    await setTimeout(10);
  }
}

/** How long a caller is refused for a while before it gives up. */
const PATIENCE_MS = 60_000;
const PAUSE_MS = 100;

/** Refused for the moment, or answered too late: an append says by its ids that it is the same. */
const FOR_NOW: ReadonlySet<number> = new Set([429, 502, 503, 504]);

/**
 * A call as a caller of sense makes it: what is refused for the moment (a shard changes its owner, a
 * sidecar has lost its service) is sent again after the pause that the answer names.
 * @throws Error for any other answer, and when that lasts
 */
export async function patiently<T>(
  status: number,
  method: string,
  url: string,
  options: CallOptions = {},
): Promise<T> {
  const end = performance.now() + PATIENCE_MS;
  for (;;) {
    const answer = await call<T & { readonly retryAfterMs?: number }>(method, url, options);
    if (answer.status === status) return answer.body;
    if (!FOR_NOW.has(answer.status) || performance.now() > end) {
      throw new Error(`${method} ${url}: ${answer.status} ${answer.text.slice(0, 500)}`);
    }
    await setTimeout(answer.body?.retryAfterMs ?? PAUSE_MS);
  }
}

/** What the files of a folder take on the disk, in bytes. */
export async function folderBytes(folder: string): Promise<number> {
  let bytes = 0;
  for (const entry of await readdir(folder, { withFileTypes: true, recursive: true })) {
    if (!entry.isFile()) continue;
    // Files come and go while a plane runs.
    const stat = await lstat(join(entry.parentPath, entry.name)).catch(() => undefined);
    bytes += (stat?.blocks ?? 0) * 512;
  }
  return bytes;
}

/** A plane of its own in a folder that goes with it. */
export async function withPlane<T>(name: string, work: (plane: Plane) => Promise<T>): Promise<T> {
  using folder = new ScratchFolder(`bench-${name}`);
  await using plane = await Plane.start({ dataDir: join(folder.path, 'data') });
  return await work(plane);
}
