/** Why something that arrived, or was to leave, was let go. */
export const DROP_REASONS = [
  /** Nothing in it. */
  'empty',
  /** More bytes than a packet or a stream may have. */
  'too_large',
  /** Not what an encoder writes: truncated, a wrong length, a wrong value. */
  'malformed',
  /** No key opens it: another cluster, another key, or damage. */
  'unauthentic',
  /** Not encrypted, while this member has keys. */
  'plain_refused',
  /** Encrypted, while this member has no keys. */
  'no_key',
  /** Not encrypted, and of another cluster. */
  'other_cluster',
  /** A version of the protocol that this member does not speak. */
  'version',
  /** Meant for another member, e.g. one that had this address before. */
  'misdirected',
  /** Sent under this member's own id. */
  'own_id',
  /** From, or about, a member that was forgotten for good. */
  'forgotten',
  /** Seen before, or from an earlier start of its sender. */
  'replayed',
  /** So far behind its sender's newest packet that nobody can tell whether it was seen. */
  'too_old',
  /** A message of a type that a later version may have. */
  'unknown_message',
  /** More than one question in a packet or a stream: each would cost an answer. */
  'excess',
  /** An answer that came when nobody waited for it any more. */
  'late_answer',
  /** A member that speaks no version in common. */
  'incompatible',
  /** An id that lives at two addresses. */
  'conflict',
  /** More members than there may be. */
  'members_full',
  /** More probes on behalf of others than there may be at once. */
  'relays_full',
  /** A broadcast that a full queue pushed out. */
  'queue_full',
  /** A payload of the application that does not fit where it was to go. */
  'payload_too_large',
  /** A fault of this very code, which would otherwise have ended the process. */
  'internal',
  /** A function of the application threw. */
  'hook_threw',
] as const;

export type DropReason = (typeof DROP_REASONS)[number];

/** Counters since the start, plain numbers. */
export interface GossipMetrics {
  packetsSent: number;
  packetsReceived: number;
  packetBytesSent: number;
  packetBytesReceived: number;
  streamsSent: number;
  streamsReceived: number;
  streamsFailed: number;
  streamBytesSent: number;
  streamBytesReceived: number;
  probes: number;
  probesIndirect: number;
  probesFailed: number;
  /** Probes that only the stream answered: datagrams to that member get lost. */
  probesByStreamOnly: number;
  nacksReceived: number;
  nacksMissed: number;
  suspicionsRaised: number;
  refutations: number;
  deathsDeclared: number;
  /** How often a timer ran so late that the process must have stood still. */
  stalls: number;
  /** Exchanges of whole lists. */
  pushPulls: number;
  /** Exchanges that begin with the lists' digests. */
  comparisons: number;
  reaped: number;
  readonly dropped: Record<DropReason, number>;
}

export function newMetrics(): GossipMetrics {
  return {
    packetsSent: 0,
    packetsReceived: 0,
    packetBytesSent: 0,
    packetBytesReceived: 0,
    streamsSent: 0,
    streamsReceived: 0,
    streamsFailed: 0,
    streamBytesSent: 0,
    streamBytesReceived: 0,
    probes: 0,
    probesIndirect: 0,
    probesFailed: 0,
    probesByStreamOnly: 0,
    nacksReceived: 0,
    nacksMissed: 0,
    suspicionsRaised: 0,
    refutations: 0,
    deathsDeclared: 0,
    stalls: 0,
    pushPulls: 0,
    comparisons: 0,
    reaped: 0,
    dropped: Object.fromEntries(DROP_REASONS.map((reason) => [reason, 0])) as Record<
      DropReason,
      number
    >,
  };
}
