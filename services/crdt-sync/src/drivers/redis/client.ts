import { createClient, RESP_TYPES } from '@redis/client';

/** A bulk text comes as its bytes, an integer as its digits. */
export type Reply = string | Buffer | null | readonly Reply[];

export type Client = ReturnType<typeof newClient>;

/** Integers as texts: the client's own decoder rounds those near 2^53 (9007199254740991 + 1). */
const TYPES = { typeMapping: { [RESP_TYPES.BLOB_STRING]: Buffer, [RESP_TYPES.NUMBER]: String } };

/** One that connects once, and keeps nothing for later. */
export function newClient(options: {
  readonly url: string;
  readonly password: string | undefined;
  readonly connectTimeoutMs: number;
}) {
  const { url, password, connectTimeoutMs } = options;
  return createClient({
    url,
    ...(password === undefined ? {} : { password }),
    RESP: 2,
    disableOfflineQueue: true,
    disableClientInfo: true,
    maintNotifications: 'disabled',
    name: 'memplane-crdt-sync',
    socket: { connectTimeout: connectTimeoutMs, reconnectStrategy: false },
  });
}

export function send(client: Client, words: readonly (string | Buffer)[]): Promise<Reply> {
  return client.sendCommand(words, TYPES) as Promise<Reply>;
}
