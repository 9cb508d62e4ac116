import { coversVector } from '@memplane/crdt';
import type { CommitVector } from './session-token.ts';

/** What has a vector that grows. */
export interface VectorSource {
  commitVector(): Promise<CommitVector>;
  /** Tells when what is known of others has grown. @returns how to end it */
  onAdvance(listener: (known: CommitVector) => void): () => void;
}

/** Waits until all that `needs` names is here. @returns whether it is, when the signal aborts */
export async function waitUntilCovered(
  source: VectorSource,
  needs: CommitVector,
  signal: AbortSignal,
): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const end = source.onAdvance((known) => {
    if (coversVector(known, needs)) resolve();
  });
  signal.addEventListener('abort', () => resolve(), { once: true });
  try {
    if (coversVector(await source.commitVector(), needs)) return true;
    if (!signal.aborted) await promise;
    // Where several processes write, nobody tells what the others have written meanwhile.
    return coversVector(await source.commitVector(), needs);
  } finally {
    end();
  }
}
