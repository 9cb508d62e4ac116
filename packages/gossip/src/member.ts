/** How many bytes of UTF-8 the id of a member may have. */
export const ID_BYTES_MAX = 128;
/** How many bytes an address may have. */
export const ADDRESS_BYTES_MAX = 255;
/** How many bytes of opaque data a member may gossip about itself. */
export const META_BYTES_MAX = 512;
/** Incarnations end here: no clock of refutations reaches it, and a forged one can't overflow. */
export const INCARNATION_MAX = 2 ** 48;

export type MemberStatus = 'alive' | 'suspect' | 'dead' | 'left';

/** The versions of the protocol that a member speaks, both included. */
export interface ProtocolRange {
  readonly min: number;
  readonly max: number;
}

/** A member as it is known here. */
export interface Member {
  readonly id: string;
  readonly address: string;
  /** Raised by the member alone: the higher claim is the newer one. */
  readonly incarnation: number;
  readonly status: MemberStatus;
  readonly meta: Uint8Array;
  readonly protocol: ProtocolRange;
}

/** "This member lives, and this is how it is reached." */
export interface AliveClaim {
  readonly id: string;
  readonly address: string;
  readonly incarnation: number;
  readonly meta: Uint8Array;
  readonly protocol: ProtocolRange;
}

/** "This member does not answer", "it is dead" or "it has left". */
export interface Accusation {
  readonly status: Exclude<MemberStatus, 'alive'>;
  readonly id: string;
  readonly incarnation: number;
  /** Who found it out; a member that leaves says so itself. */
  readonly accuser: string;
}

/** A member in a list that is pushed and pulled. */
export interface MemberState extends AliveClaim {
  readonly status: MemberStatus;
  /** Who accused it; empty while it is alive. */
  readonly accuser: string;
}

/** Whether two members have a version in common. */
export function overlaps(a: ProtocolRange, b: ProtocolRange): boolean {
  return a.min <= b.max && b.min <= a.max;
}

/** The highest version that both speak, if there is one. */
export function commonVersion(a: ProtocolRange, b: ProtocolRange): number | undefined {
  return overlaps(a, b) ? Math.min(a.max, b.max) : undefined;
}

/** Whether two claims say the same but for their incarnation. */
export function sameContent(a: AliveClaim, b: AliveClaim): boolean {
  return (
    a.address === b.address &&
    a.protocol.min === b.protocol.min &&
    a.protocol.max === b.protocol.max &&
    Buffer.compare(a.meta, b.meta) === 0
  );
}
