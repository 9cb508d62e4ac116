import type { CommitVector } from '@memplane/contracts';

export {
  type CommitVector,
  decodeSessionToken,
  encodeSessionToken,
  joinVectors,
} from '@memplane/contracts';

export function covers(has: CommitVector, needs: CommitVector): boolean {
  for (const [incarnation, commits] of needs) {
    if ((has.get(incarnation) ?? 0) < commits) return false;
  }
  return true;
}
