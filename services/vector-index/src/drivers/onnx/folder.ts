import { createHash } from 'node:crypto';
import { createReadStream, existsSync, readFileSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { MemplaneError } from '@memplane/contracts';

/** How the vectors of a text's tokens become one. */
export type Pooling = 'mean' | 'cls';

/** A model as sentence-transformers and Optimum export it. */
export interface OnnxFolder {
  readonly modelFile: string;
  readonly tokenizerFile: string;
  readonly tokenizerConfigFile: string | undefined;
  readonly pooling: Pooling;
  /** What the model was made for; the setting may ask for fewer. */
  readonly tokens_max: number | undefined;
}

/**
 * Finds the parts of a model: `model.onnx` (also under `onnx/`), `tokenizer.json`, and, where they
 * are, `tokenizer_config.json`, `1_Pooling/config.json`, `sentence_bert_config.json`.
 * @throws MemplaneError `storage_unavailable` that says what is missing
 */
export function findModel(folder: string): OnnxFolder {
  const place = (name: string) => join(resolve(folder), name);
  const modelFile = [place('model.onnx'), place('onnx/model.onnx')].find(existsSync);
  const tokenizerFile = place('tokenizer.json');
  if (!modelFile) throw missing(folder, 'model.onnx');
  if (!existsSync(tokenizerFile)) throw missing(folder, 'tokenizer.json');
  const tokenizerConfigFile = place('tokenizer_config.json');
  const tokens = readJson(place('sentence_bert_config.json'))['max_seq_length'];
  return {
    modelFile,
    tokenizerFile,
    tokenizerConfigFile: existsSync(tokenizerConfigFile) ? tokenizerConfigFile : undefined,
    pooling: poolingOf(readJson(place('1_Pooling/config.json')), folder),
    tokens_max: typeof tokens === 'number' ? tokens : undefined,
  };
}

/**
 * A name that changes with all that a vector depends on: vectors made in two ways must never mix.
 * @returns the folder's name and the first 12 hex digits of a SHA-256 over model, tokenizer, pooling
 */
export async function modelName(folder: string): Promise<string> {
  const { modelFile, tokenizerFile, tokenizerConfigFile, pooling, tokens_max } = findModel(folder);
  const hash = createHash('sha256').update(JSON.stringify([pooling, tokens_max ?? null]));
  for (const file of [modelFile, tokenizerFile, tokenizerConfigFile]) {
    if (file === undefined) continue;
    for await (const chunk of createReadStream(file)) hash.update(chunk as Buffer);
    hash.update('\x00');
  }
  return `${basename(resolve(folder))}@${hash.digest('hex').slice(0, 12)}`;
}

function poolingOf(config: Record<string, unknown>, folder: string): Pooling {
  if (config['pooling_mode_cls_token'] === true) return 'cls';
  if (config['pooling_mode_mean_tokens'] ?? true) return 'mean';
  throw new MemplaneError(
    'storage_unavailable',
    `The model in ${folder} pools its tokens in a way that is not known here; mean and cls are.`,
  );
}

function readJson(file: string): Record<string, unknown> {
  if (!existsSync(file)) return {};
  return JSON.parse(readFileSync(file, 'utf8')) as Record<string, unknown>;
}

function missing(folder: string, name: string): MemplaneError {
  return new MemplaneError('storage_unavailable', `There is no ${name} in the folder ${folder}.`);
}
