export {
  type CommitVector,
  decodeSessionToken,
  encodeSessionToken,
  joinVectors,
} from '@memplane/contracts';
