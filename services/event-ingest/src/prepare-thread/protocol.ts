import type { Problem } from '@memplane/runtime/problem';
import type { PackedBody } from '../domain/packed-body.ts';
import type { BodyOrder } from '../domain/prepare-body.ts';

/** To the thread: a body to prepare. */
export interface PrepareRequest {
  readonly ref: number;
  readonly bytes: Uint8Array;
  readonly order: BodyOrder;
}

/** From the thread: the events, or why there are none. */
export type PrepareReply =
  | { readonly ref: number; readonly packed: PackedBody }
  | { readonly ref: number; readonly problem: Problem };
