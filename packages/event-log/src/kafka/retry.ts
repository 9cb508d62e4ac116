import { MemplaneError } from '@memplane/contracts';
import { mayPass, toLogError } from './errors.ts';
import type { ResolvedKafkaOptions } from './options.ts';

/** Ends a pause early, when the log is closed. */
export function pauseFor(ms: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener('abort', done, { once: true });
  });
}

/** The pause before the next attempt: doubling, bounded, and spread so that clients part. */
export function retryPauseMs(attempts: number, options: ResolvedKafkaOptions): number {
  const { retryPauseMsMin, retryPauseMsMax } = options;
  const full = Math.min(retryPauseMsMax, retryPauseMsMin * 2 ** Math.min(attempts, 20));
  return full * (0.5 + Math.random() / 2);
}

/**
 * Tries until it works, a failure can't pass, the deadline is over or the log is closed.
 * @throws MemplaneError `dependency_unavailable`, `shutting_down`, or what `attempt` says for good
 */
export async function withRetries<T>(
  doing: string,
  options: ResolvedKafkaOptions,
  closing: AbortSignal,
  attempt: (attempts: number) => Promise<T>,
): Promise<T> {
  const deadline = performance.now() + options.operationDeadlineMs;
  for (let attempts = 0; ; attempts++) {
    if (closing.aborted) throw logClosed();
    try {
      return await attempt(attempts);
    } catch (error) {
      if (closing.aborted) throw logClosed();
      const pauseMs = retryPauseMs(attempts, options);
      if (!mayPass(error) || performance.now() + pauseMs > deadline) {
        throw toLogError(error, doing, 'dependency_unavailable');
      }
      await pauseFor(pauseMs, closing);
    }
  }
}

export function logClosed(): MemplaneError {
  return new MemplaneError('shutting_down', 'The log is closed');
}
