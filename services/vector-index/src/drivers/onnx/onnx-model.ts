import { readFileSync } from 'node:fs';
import { Tokenizer } from '@huggingface/tokenizers';
import { env, InferenceSession, Tensor } from 'onnxruntime-web';
import { findModel, type OnnxFolder } from './folder.ts';
import { pool } from './pooling.ts';

const TOKENS_MAX_DEFAULT = 512;
/** Outputs that already hold one vector a text. */
const SENTENCE_OUTPUTS = ['sentence_embedding', 'text_embeds'];

/** A text's tokens, with the special ones that the model expects. */
interface Tokens {
  readonly ids: readonly number[];
  readonly types: readonly number[];
}

/** A sentence model, loaded: texts in, one vector each out, not scaled. */
export class OnnxModel {
  readonly #session: InferenceSession;
  readonly #tokenizer: Tokenizer;
  readonly #folder: OnnxFolder;
  readonly #tokens_max: number;

  private constructor(
    session: InferenceSession,
    tokenizer: Tokenizer,
    folder: OnnxFolder,
    tokens_max: number,
  ) {
    this.#session = session;
    this.#tokenizer = tokenizer;
    this.#folder = folder;
    this.#tokens_max = Math.min(tokens_max, folder.tokens_max ?? TOKENS_MAX_DEFAULT);
  }

  /** @param tokens_max of one text; the rest of a longer one is left out */
  static async load(path: string, tokens_max: number): Promise<OnnxModel> {
    const folder = findModel(path);
    env.wasm.numThreads = 1;
    env.logLevel = 'error';
    const session = await InferenceSession.create(readFileSync(folder.modelFile));
    const json = (file: string) => JSON.parse(readFileSync(file, 'utf8')) as object;
    const config = folder.tokenizerConfigFile ? json(folder.tokenizerConfigFile) : {};
    const tokenizer = new Tokenizer(json(folder.tokenizerFile), config);
    return new OnnxModel(session, tokenizer, folder, tokens_max);
  }

  async embed(texts: readonly string[]): Promise<Float32Array[]> {
    const encoded = texts.map((text) => this.#encode(text));
    const tokens = Math.max(1, ...encoded.map(({ ids }) => ids.length));
    const feeds = this.#feeds(encoded, tokens);
    const outputs = await this.#session.run(feeds);
    const whole = SENTENCE_OUTPUTS.find((name) => outputs[name]?.dims.length === 2);
    const name = whole ?? this.#session.outputNames.find((one) => outputs[one]?.dims.length === 3);
    const output = name === undefined ? undefined : outputs[name];
    if (!output || !(output.data instanceof Float32Array)) {
      throw new Error('the model has no output of one float32 vector a text or a token');
    }
    const dimensions = output.dims.at(-1) ?? 0;
    const { data } = output;
    if (whole !== undefined) {
      return texts.map((_, i) => data.slice(i * dimensions, (i + 1) * dimensions));
    }
    const lengths = encoded.map(({ ids }) => ids.length);
    return pool(data, dimensions, tokens, lengths, this.#folder.pooling);
  }

  async close(): Promise<void> {
    await this.#session.release();
  }

  /** Cut at the end, but for the last special token, as the model's own tools cut. */
  #encode(text: string): Tokens {
    const { ids, token_type_ids: types = [] } = this.#tokenizer.encode(text, {
      return_token_type_ids: true,
    });
    const max = this.#tokens_max;
    if (ids.length <= max) return { ids, types };
    const bare = this.#tokenizer.encode(text, { add_special_tokens: false }).ids;
    const closing = ids.at(-1) === bare.at(-1) ? [] : ids.slice(-1);
    return { ids: [...ids.slice(0, max - closing.length), ...closing], types: types.slice(0, max) };
  }

  #feeds(encoded: readonly Tokens[], tokens: number): Record<string, Tensor> {
    const size = encoded.length * tokens;
    const ids = new BigInt64Array(size);
    const mask = new BigInt64Array(size);
    const types = new BigInt64Array(size);
    for (const [row, { ids: own, types: ownTypes }] of encoded.entries()) {
      for (const [i, id] of own.entries()) {
        ids[row * tokens + i] = BigInt(id);
        mask[row * tokens + i] = 1n;
        types[row * tokens + i] = BigInt(ownTypes[i] ?? 0);
      }
    }
    const all: Record<string, BigInt64Array> = {
      input_ids: ids,
      attention_mask: mask,
      token_type_ids: types,
    };
    const feeds: Record<string, Tensor> = {};
    for (const name of this.#session.inputNames) {
      const data = all[name];
      if (!data) throw new Error(`the model asks for an input ${name}, which is not known here`);
      feeds[name] = new Tensor('int64', data, [encoded.length, tokens]);
    }
    return feeds;
  }
}
