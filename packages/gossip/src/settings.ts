import { MemplaneError } from '@memplane/contracts';
import { ADDRESS_BYTES_MAX, ID_BYTES_MAX, META_BYTES_MAX } from './member.ts';

/** Every time and bound of a member. The unit ends the name; a bound says `Max`. */
export interface GossipSettings {
  /** Between the starts of two probes, while this member is healthy. */
  readonly probeIntervalMs: number;
  /** How long the direct answer to a probe is awaited before others are asked to try. */
  readonly probeTimeoutMs: number;
  /** How many others are asked to probe on this member's behalf. */
  readonly indirectProbes: number;
  /** Whether a member that datagrams don't reach is tried over a stream too. */
  readonly probeByStream: boolean;
  /** The shortest suspicion, in probe intervals per decade of members. */
  readonly suspicionMult: number;
  /** The longest suspicion, in shortest ones; 1 makes it a fixed time. */
  readonly suspicionMaxTimeoutMult: number;
  /** The highest health score: times are stretched by up to this + 1; 0 switches that off. */
  readonly awarenessMax: number;
  /** A timer that runs this late proves that the process stood still; nobody is blamed for it. */
  readonly stallMs: number;
  readonly gossipIntervalMs: number;
  /** To how many members news are sent in each interval. */
  readonly gossipNodes: number;
  /** How long after its death a member is still told, so that it can refute. */
  readonly gossipToTheDeadMs: number;
  /** λ: each news is sent λ·⌈log10(n + 1)⌉ times. */
  readonly retransmitMult: number;
  /** Between two exchanges of lists; above `wholeListsMembers` it grows with the logarithm. */
  readonly pushPullIntervalMs: number;
  /**
   * Up to so many members each exchange is one of whole lists. Above, more and more of them begin
   * with digests, so that lists cost a member the same however many there are.
   */
  readonly wholeListsMembers: number;
  /** Between two attempts to reach one of the dead, which ends a cut that outlasted the gossip. */
  readonly reconnectIntervalMs: number;
  /** How long the dead and the left stay in the list. */
  readonly deadKeptMs: number;
  /** How long a leaving member waits for its leave to be sent. */
  readonly leaveTimeoutMs: number;
  readonly streamTimeoutMs: number;
  /** A datagram with all its overhead; the MTU without the headers of IP and UDP. */
  readonly packetBytesMax: number;
  /** A request or an answer over a stream. */
  readonly streamBytesMax: number;
  /** Members in the list, the dead included. */
  readonly membersMax: number;
  /** News that wait to be sent. */
  readonly queueBroadcastsMax: number;
  /** Probes on behalf of others that are under way. */
  readonly relaysMax: number;
  /** How far behind its sender's newest packet one may arrive. A multiple of 32. */
  readonly replayWindowPackets: number;
  /** Of how many senders a window is kept; the longest silent is given up first. */
  readonly replaySendersMax: number;
  /** Ids that are refused for good. */
  readonly forgottenMax: number;
}

/** For members in one data centre; the times are those of memberlist's LAN defaults. */
export const LAN_SETTINGS: GossipSettings = {
  probeIntervalMs: 1_000,
  probeTimeoutMs: 500,
  indirectProbes: 3,
  probeByStream: true,
  suspicionMult: 4,
  suspicionMaxTimeoutMult: 6,
  awarenessMax: 8,
  stallMs: 100,
  gossipIntervalMs: 200,
  gossipNodes: 3,
  gossipToTheDeadMs: 30_000,
  retransmitMult: 4,
  pushPullIntervalMs: 30_000,
  wholeListsMembers: 32,
  reconnectIntervalMs: 30_000,
  deadKeptMs: 24 * 3_600_000,
  leaveTimeoutMs: 5_000,
  streamTimeoutMs: 10_000,
  packetBytesMax: 1_400,
  streamBytesMax: 4 * 1024 * 1024,
  membersMax: 1_024,
  queueBroadcastsMax: 2_048,
  relaysMax: 256,
  replayWindowPackets: 2_048,
  replaySendersMax: 2_048,
  forgottenMax: 1_024,
};

type NumberSetting = {
  [K in keyof GossipSettings]: GossipSettings[K] extends number ? K : never;
}[keyof GossipSettings];

/** A member in a push-pull, with every field of full length. */
const MEMBER_STATE_BYTES_MAX = 2 * ID_BYTES_MAX + ADDRESS_BYTES_MAX + META_BYTES_MAX + 25;
const DAY_MS = 24 * 3_600_000;

const RANGES: Readonly<Record<NumberSetting, readonly [low: number, high: number]>> = {
  probeIntervalMs: [10, DAY_MS],
  probeTimeoutMs: [5, DAY_MS],
  indirectProbes: [0, 32],
  suspicionMult: [1, 100],
  suspicionMaxTimeoutMult: [1, 100],
  awarenessMax: [0, 100],
  stallMs: [1, DAY_MS],
  gossipIntervalMs: [5, DAY_MS],
  gossipNodes: [1, 64],
  gossipToTheDeadMs: [0, 365 * DAY_MS],
  retransmitMult: [1, 100],
  pushPullIntervalMs: [10, DAY_MS],
  wholeListsMembers: [1, 65_536],
  reconnectIntervalMs: [10, DAY_MS],
  deadKeptMs: [0, 365 * DAY_MS],
  leaveTimeoutMs: [1, DAY_MS],
  streamTimeoutMs: [1, DAY_MS],
  // A member with an id, an address and meta of full length must fit.
  packetBytesMax: [1_300, 65_507],
  streamBytesMax: [65_536, 1024 * 1024 * 1024],
  membersMax: [1, 65_536],
  queueBroadcastsMax: [1, 1_000_000],
  relaysMax: [1, 65_536],
  replayWindowPackets: [64, 1_048_576],
  replaySendersMax: [1, 1_000_000],
  forgottenMax: [0, 1_000_000],
};

/**
 * The LAN defaults with some of them replaced.
 * @throws MemplaneError `invalid_request`, with the setting as its field.
 */
export function gossipSettings(changes: Partial<GossipSettings> = {}): GossipSettings {
  const settings = { ...LAN_SETTINGS, ...changes };
  for (const [name, [low, high]] of Object.entries(RANGES)) {
    const value = settings[name as NumberSetting];
    const fraction = name === 'suspicionMult' || name === 'suspicionMaxTimeoutMult';
    if (!(value >= low && value <= high) || !(fraction || Number.isInteger(value))) {
      refuse(name, `must be a number from ${low} to ${high}`);
    }
  }
  if (typeof settings.probeByStream !== 'boolean') refuse('probeByStream', 'must be true or false');
  if (settings.probeTimeoutMs >= settings.probeIntervalMs) {
    refuse('probeTimeoutMs', 'must be below probeIntervalMs, or no indirect answer comes in time');
  }
  if (settings.replayWindowPackets % 32 !== 0) {
    refuse('replayWindowPackets', 'must be a multiple of 32');
  }
  if (settings.streamBytesMax < settings.membersMax * MEMBER_STATE_BYTES_MAX) {
    refuse('streamBytesMax', `must hold membersMax members of ${MEMBER_STATE_BYTES_MAX} bytes`);
  }
  return settings;
}

function refuse(field: string, what: string): never {
  throw new MemplaneError('invalid_request', `${field} ${what}`, { field });
}
