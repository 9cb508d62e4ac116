import type { Member } from './member.ts';

/** What the application is told. The member is as it is after the event. */
export type GossipEvent =
  /** A member that was unknown, or had left, lives. */
  | { readonly type: 'joined'; readonly member: Member }
  /** It did not answer somebody's probes. It still counts as a member. */
  | { readonly type: 'suspected'; readonly member: Member; readonly accuser: string }
  /** It did not refute the suspicion in time. */
  | { readonly type: 'failed'; readonly member: Member; readonly accuser: string }
  /** It took its leave. */
  | { readonly type: 'left'; readonly member: Member }
  /** Its meta, protocol range or address changed. */
  | { readonly type: 'updated'; readonly member: Member }
  /** It refuted a suspicion, or came back from the dead. */
  | { readonly type: 'alive-again'; readonly member: Member; readonly was: 'suspect' | 'dead' };

/** What the application hands in. All are called synchronously; what they throw is counted. */
export interface GossipHooks {
  onEvent?(event: GossipEvent): void;
  /** A payload of another member. `from` is who sent the packet, not who first offered it. */
  onMessage?(payload: Uint8Array, from: string): void;
  /**
   * Payloads to ride in a packet that is about to leave. Each costs `overheadBytes` besides its
   * own length; all together may cost `limitBytes`. How often one is offered is up to the caller.
   */
  offer?(overheadBytes: number, limitBytes: number): readonly Uint8Array[];
  /** Another member has forgotten this one, and refuses it for good. Told again and again. */
  onForgotten?(by: string): void;
  /**
   * Opaque state for the other side of an exchange; `join` when one of the two is joining. Told
   * twice in a row where the lists of the two differ.
   */
  localState?(join: boolean): Uint8Array;
  /** The state of the other side of an exchange. */
  mergeState?(state: Uint8Array, join: boolean, from: string): void;
}
