import { z } from 'zod';

const IDS_MAX = 4_096;
const idsSchema = z.array(z.string().min(1).max(128)).max(IDS_MAX);
const natural = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER);

const heartbeatSchema = z.object({
  /** Of the sender's start, and the number of the heartbeat since: no clock is compared. */
  epoch: natural,
  sequence: natural,
  viewVersion: natural,
  /** Under which the sender gives out the dots of its mutations. */
  incarnation: z.string().max(128),
  /** Of whom the sender had a heartbeat lately. */
  hears: idsSchema,
  /** Of whom it should have had one, and had none for too long. */
  misses: idsSchema,
  /** The last one before it ends. */
  leaving: z.boolean(),
});

/** What a replica says of itself and of whom it hears, again and again. */
export type Heartbeat = z.infer<typeof heartbeatSchema>;

/** Later versions may say more in it. */
export function encodeHeartbeat(heartbeat: Heartbeat): Uint8Array {
  return Buffer.from(JSON.stringify(heartbeat));
}

/** @throws ZodError, SyntaxError for what is no heartbeat */
export function decodeHeartbeat(bytes: Uint8Array): Heartbeat {
  return heartbeatSchema.parse(JSON.parse(Buffer.from(bytes).toString()));
}

/** Whether one was sent after another of the same replica. */
export function isNewer(one: Heartbeat, other: Heartbeat): boolean {
  return one.epoch > other.epoch || (one.epoch === other.epoch && one.sequence > other.sequence);
}
