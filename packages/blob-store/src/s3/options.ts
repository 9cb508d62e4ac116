export interface S3Options {
  /** `http://host:port`; undefined: that of AWS for the region. */
  readonly endpoint?: string | undefined;
  /** `us-east-1` by default, which servers other than AWS's take. */
  readonly region?: string;
  readonly bucket: string;
  readonly accessKey: string;
  readonly secretKey: string;
  /** Largest blob that is accepted; default 4 GiB. */
  readonly blobBytesMax?: number;
  /** Largest range that `get` returns at once; default 64 MiB. */
  readonly getBytesMax?: number;
  /** Bytes of a part of a larger blob, held in memory; at least 5 MiB, default 8 MiB. */
  readonly partBytes?: number;
  /** Names that one request of a listing asks for; default 1000, the protocol's most. */
  readonly list_names_max?: number;
  readonly connectTimeoutMs?: number;
  /** How long an answer may take to begin, and a connection may be silent after that. */
  readonly requestTimeoutMs?: number;
  /** Attempts of one request, the first included; also those of a reading that breaks off. */
  readonly attempts_max?: number;
  readonly connections_max?: number;
}

/** The protocol's: only the last part of a blob may be smaller. */
export const PART_BYTES_MIN = 5 * 1024 ** 2;

export const S3_DEFAULTS = {
  region: 'us-east-1',
  blobBytesMax: 4 * 1024 ** 3,
  getBytesMax: 64 * 1024 ** 2,
  partBytes: 8 * 1024 ** 2,
  list_names_max: 1_000,
  connectTimeoutMs: 2_000,
  requestTimeoutMs: 20_000,
  attempts_max: 4,
  connections_max: 32,
} as const;

export type ResolvedS3Options = S3Options & Required<Omit<S3Options, 'endpoint'>>;
