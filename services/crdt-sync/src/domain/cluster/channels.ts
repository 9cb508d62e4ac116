/** What one replica sends another, and the byte that says so in front of it. */
export const CHANNELS = {
  heartbeat: 1,
  replication: 2,
  call: 3,
  answer: 4,
  forgotten: 5,
} as const;

export type Channel = keyof typeof CHANNELS;

const BY_BYTE = new Map<number, Channel>(
  (Object.keys(CHANNELS) as Channel[]).map((channel) => [CHANNELS[channel], channel]),
);

/** Undefined for a channel that a later version may have. */
export function channelOf(byte: number | undefined): Channel | undefined {
  return byte === undefined ? undefined : BY_BYTE.get(byte);
}

export function onChannel(channel: Channel, bytes: Uint8Array): Uint8Array {
  const payload = new Uint8Array(1 + bytes.length);
  payload[0] = CHANNELS[channel];
  payload.set(bytes, 1);
  return payload;
}
