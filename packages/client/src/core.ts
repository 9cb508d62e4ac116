import { CutKeeper } from './cut-keeper.ts';
import { MemplaneError } from './errors.ts';
import { Http } from './http.ts';
import type { Settings } from './options.ts';
import { SessionKeeper } from './session-keeper.ts';
import type { ReadOptions } from './types.ts';

/** What all parts of one client share. */
export class Core {
  readonly settings: Settings;
  readonly http: Http;
  readonly cut = new CutKeeper();
  /** The same for counters, sets and registers. */
  readonly session = new SessionKeeper();

  constructor(settings: Settings) {
    this.settings = settings;
    this.http = new Http(settings);
  }

  /** The tokens that a read must include: those given, and what this client has written. */
  afterOf(options: ReadOptions): string[] {
    return this.#after(options, () => this.cut.token);
  }

  /** The same for reads of counters, sets and registers. */
  sessionAfterOf(options: ReadOptions): string[] {
    return this.#after(options, () => this.session.token);
  }

  waitMsOf(options: ReadOptions): number {
    return options.waitMs ?? this.settings.waitMs;
  }

  #after(options: ReadOptions, ownToken: () => string | undefined): string[] {
    if (options.after === null) return [];
    const given = options.after === undefined ? [] : [options.after].flat();
    const own = this.settings.readYourWrites ? ownToken() : undefined;
    return own === undefined ? given : [...given, own];
  }
}

/** The path of an entity. @throws MemplaneError `invalid_argument` for what is no `kind/id`. */
export function entityPath(entity: string): string {
  if (!/^[A-Za-z0-9._~@-]+\/[A-Za-z0-9._~@-]+$/.test(entity)) {
    throw new MemplaneError(
      'invalid_argument',
      `"${entity}" is no entity: kind/id, each of A-Z a-z 0-9 . _ ~ @ - (see entityOf).`,
      { field: 'entity' },
    );
  }
  return `/v1/entities/${entity}`;
}

/** Runs a call and answers null where the plane has no such thing. */
export async function orNull<T>(call: Promise<T>): Promise<T | null> {
  try {
    return await call;
  } catch (error) {
    if (error instanceof MemplaneError && error.code === 'not_found') return null;
    throw error;
  }
}
