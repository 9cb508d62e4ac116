import { MemplaneError, type Replay, type ReplayProjection } from '@memplane/contracts';
import type { ReplayOutcome } from './replay-run.ts';

export interface ReplayJobSettings {
  readonly replays_running_max: number;
  readonly replays_waiting_max: number;
  /** Ended replays of a tenant that are remembered; the oldest goes first. */
  readonly replays_kept_max: number;
  readonly replayDurationMsMax: number;
}

/** What a job does: it tells its counts as it goes, and its outcome. */
export interface ReplayWork {
  readonly projection: ReplayProjection;
  readonly token: string;
  run(signal: AbortSignal): Promise<ReplayOutcome>;
  counts(): { read: number; folded: number };
}

interface Job {
  readonly id: string;
  readonly tenant: string;
  readonly work: ReplayWork;
  status: Replay['status'];
  outcome?: ReplayOutcome;
  problem?: { code: string; detail: string };
  readonly ended: Promise<void>;
  readonly end: () => void;
}

/** All that is remembered, in what one tenant may have. */
const TENANTS_KEPT_MAX = 16;

/** Runs replays, a few at a time, and remembers how they ended. */
export class ReplayJobs {
  readonly #settings: ReplayJobSettings;
  readonly #newId: () => string;
  readonly #jobs = new Map<string, Job>();
  readonly #waiting: Job[] = [];
  readonly #stopping = new AbortController();
  #running = 0;

  constructor(settings: ReplayJobSettings, newId: () => string = () => crypto.randomUUID()) {
    this.#settings = settings;
    this.#newId = newId;
  }

  /** @throws MemplaneError `overloaded` when too many wait */
  submit(tenant: string, work: ReplayWork): string {
    const { replays_waiting_max: max } = this.#settings;
    if (this.#stopping.signal.aborted) {
      throw new MemplaneError('shutting_down', 'The service is ending.');
    }
    if (this.#waiting.length >= max) {
      throw new MemplaneError('overloaded', `${max} replays are already waiting.`, {
        retryAfterMs: 1_000,
        extra: { limit: 'replays_waiting_max', max },
      });
    }
    const { promise: ended, resolve: end } = Promise.withResolvers<void>();
    const job: Job = { id: this.#newId(), tenant, work, status: 'queued', ended, end };
    this.#jobs.set(job.id, job);
    this.#waiting.push(job);
    this.#next();
    return job.id;
  }

  /** @throws MemplaneError `not_found` also for another tenant's */
  get(tenant: string, id: string): Replay {
    const job = this.#find(tenant, id);
    const { status, work, outcome, problem } = job;
    return {
      id,
      status,
      projection: work.projection,
      events: work.counts(),
      token: work.token,
      ...outcome,
      ...(problem === undefined ? {} : { problem }),
    };
  }

  /** Resolves when the replay has ended, or after so long. */
  async wait(tenant: string, id: string, timeoutMs: number): Promise<void> {
    const { ended } = this.#find(tenant, id);
    let timer: NodeJS.Timeout | undefined;
    const timeout = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, timeoutMs);
    });
    await Promise.race([ended, timeout]);
    clearTimeout(timer);
  }

  /** Breaks off what runs. */
  async stop(): Promise<void> {
    const stopped = new MemplaneError('shutting_down', 'The service is ending.');
    this.#stopping.abort(stopped);
    for (const job of this.#waiting.splice(0)) this.#fail(job, stopped);
    await Promise.all([...this.#jobs.values()].map((job) => job.ended));
  }

  #find(tenant: string, id: string): Job {
    const job = this.#jobs.get(id);
    if (job?.tenant === tenant) return job;
    throw new MemplaneError('not_found', 'There is no such replay, or not any more.', {
      field: 'path.id',
    });
  }

  #next(): void {
    if (this.#running >= this.#settings.replays_running_max) return;
    const job = this.#waiting.shift();
    if (job === undefined) return;
    this.#running++;
    job.status = 'running';
    const limit = AbortSignal.timeout(this.#settings.replayDurationMsMax);
    const signal = AbortSignal.any([this.#stopping.signal, limit]);
    job.work
      .run(signal)
      .then(
        (outcome) => {
          job.outcome = outcome;
          job.status = 'done';
        },
        (error: unknown) => this.#fail(job, error),
      )
      .finally(() => {
        this.#running--;
        job.end();
        this.#forget(job.tenant);
        this.#next();
      });
  }

  #fail(job: Job, error: unknown): void {
    const timedOut = error instanceof DOMException && error.name === 'TimeoutError';
    const known =
      error instanceof MemplaneError
        ? error
        : timedOut
          ? new MemplaneError('deadline_exceeded', 'The replay took too long.')
          : new MemplaneError('internal', 'The replay failed.', { cause: error });
    job.status = 'failed';
    job.problem = { code: known.code, detail: known.message };
    job.end();
  }

  /** What one tenant begins makes no other one's be forgotten, unless very many do. */
  #forget(tenant: string): void {
    const { replays_kept_max: max } = this.#settings;
    const ended = [...this.#jobs.values()].filter(
      ({ status }) => status === 'done' || status === 'failed',
    );
    this.#keepNewest(
      ended.filter((job) => job.tenant === tenant),
      max,
    );
    const kept = ended.filter(({ id }) => this.#jobs.has(id));
    this.#keepNewest(kept, max * TENANTS_KEPT_MAX);
  }

  #keepNewest(jobs: readonly Job[], max: number): void {
    for (const { id } of jobs.slice(0, Math.max(0, jobs.length - max))) this.#jobs.delete(id);
  }
}
