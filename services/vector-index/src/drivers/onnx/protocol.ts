export interface OnnxSetup {
  readonly folder: string;
  readonly tokens_max: number;
}

export interface EmbedRequest {
  readonly ref: number;
  readonly texts: readonly string[];
}

export type EmbedReply =
  | { readonly ref: number; readonly vectors: readonly Float32Array<ArrayBuffer>[] }
  | { readonly ref: number; readonly error: string };
