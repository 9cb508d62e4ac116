export { DaprStrong, type DaprStrongOptions, storedOf } from './dapr-strong.ts';
export {
  KEY_CHARS_MAX,
  type StrongRecord,
  type StrongStore,
  type Versioned,
  type WriteOutcome,
} from './store.ts';
