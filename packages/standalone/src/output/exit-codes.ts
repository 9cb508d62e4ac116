import { MemplaneError } from '@memplane/client';

/** What scripts can rely on; documented in `memplane --help`. */
export const EXIT = {
  ok: 0,
  /** Something went wrong that a repetition won't change. */
  error: 1,
  /** The command line or a setting is wrong. */
  usage: 2,
  /** There is no such entity, event, memory, counter or file. */
  notFound: 3,
  /** No plane answers, or it has too much to do, or it took too long: try again later. */
  unavailable: 4,
  /** The plane refused: a conflict, or bad input. */
  refused: 5,
} as const;

/** A failure of a command whose words are meant for people as they are. */
export class CommandError extends Error {
  readonly exitCode: number;

  constructor(message: string, exitCode: number = EXIT.error) {
    super(message);
    this.name = 'CommandError';
    this.exitCode = exitCode;
  }
}

export function exitCodeOf(error: unknown): number {
  if (error instanceof CommandError) return error.exitCode;
  if (!(error instanceof MemplaneError)) return EXIT.error;
  if (error.code === 'not_found' || error.code === 'history_expired' || error.code === 'erased') {
    return EXIT.notFound;
  }
  if (error.code === 'invalid_argument') return EXIT.usage;
  if (error.transient) return EXIT.unavailable;
  return error.status >= 400 && error.status < 500 ? EXIT.refused : EXIT.error;
}

/** The words for a failure, with what to do about it where that is known. */
export function wordsOf(error: unknown, url: string): string {
  if (!(error instanceof MemplaneError)) return error instanceof Error ? error.message : `${error}`;
  if (error.code === 'network') {
    return `No plane answers at ${url}. Start one with \`make run\`, or give --url.`;
  }
  if (error.code === 'unauthorized') {
    return 'The plane wants a token: set MEMPLANE_TOKEN to the one that it was started with.';
  }
  const field = error.field === undefined ? '' : ` (${error.field})`;
  return `${error.code}: ${error.message}${field}`;
}
