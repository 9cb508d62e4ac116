import { type Core, drop, guarded } from './core.ts';

/** Room in a stream for its header, its list's frame and its seal. */
const STREAM_FRAME_BYTES = 1_024;

/** What the application says of itself, or nothing where it does not fit beside the rest. */
export function stateHere(core: Core, join: boolean, besideBytes: number): Uint8Array {
  const user = guarded(core, () => core.hooks.localState?.(join)) ?? new Uint8Array();
  const bytes = user.length + besideBytes + STREAM_FRAME_BYTES;
  if (bytes <= core.settings.streamBytesMax) return user;
  drop(core, 'payload_too_large');
  return new Uint8Array();
}

/** Hands the application what the other side's has said. */
export function mergeState(core: Core, user: Uint8Array, join: boolean, from: string): void {
  if (user.length > 0) guarded(core, () => core.hooks.mergeState?.(user, join, from));
}
