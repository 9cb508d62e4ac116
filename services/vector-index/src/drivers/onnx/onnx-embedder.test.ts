import assert from 'node:assert/strict';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { MemplaneError } from '@memplane/contracts';
import { findModel, modelName } from './folder.ts';
import { OnnxEmbedder } from './onnx-embedder.ts';
import { pool } from './pooling.ts';

const MODEL = fileURLToPath(new URL('../../testing/onnx-model', import.meta.url));
const NEVER = new AbortController().signal;

/** Made by onnxruntime, tokenizers and numpy, see `testing/make-onnx-model.py`. */
const expected = JSON.parse(readFileSync(join(MODEL, 'expected.json'), 'utf8')) as {
  text: string;
  vector: number[];
}[];

function open(folder = MODEL): OnnxEmbedder {
  return new OnnxEmbedder({ folder, model: 'm', tokens_max: 512, timeoutMs: 20_000 });
}

function assertNear(actual: Float32Array | undefined, wanted: readonly number[]): void {
  assert.equal(actual?.length, wanted.length);
  for (const [i, value] of wanted.entries()) {
    assert.ok(Math.abs((actual?.[i] ?? Number.NaN) - value) < 1e-5, `${actual?.[i]} at ${i}`);
  }
}

test('vectors equal those of independent tools, in a batch and one by one', async (t) => {
  const embedder = open();
  t.after(() => embedder.close());
  const texts = expected.map(({ text }) => text);
  const batch = await embedder.embed(texts, NEVER);
  for (const [i, { text, vector }] of expected.entries()) {
    assertNear(batch[i], vector);
    const [alone] = await embedder.embed([text], NEVER);
    assertNear(alone, vector);
  }
});

test('calls at the same time each get their own', async (t) => {
  const embedder = open();
  t.after(() => embedder.close());
  const answers = await Promise.all(expected.map(({ text }) => embedder.embed([text], NEVER)));
  for (const [i, { vector }] of expected.entries()) assertNear(answers[i]?.[0], vector);
});

test('the name changes with the model; a folder without its parts is refused with words', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'onnx-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const copy = join(folder, 'onnx-model');
  cpSync(MODEL, copy, { recursive: true });
  assert.equal(await modelName(copy), await modelName(MODEL));
  const names = new Set([await modelName(MODEL)]);
  for (const [file, text] of [
    ['1_Pooling/config.json', '{"pooling_mode_cls_token":true}'],
    ['sentence_bert_config.json', '{"max_seq_length":7}'],
    ['tokenizer.json', '{}'],
    ['tokenizer_config.json', '{}'],
    ['model.onnx', 'another'],
  ] as const) {
    writeFileSync(join(copy, file), text);
    const before = names.size;
    assert.equal(names.add(await modelName(copy)).size, before + 1, file);
  }
  assert.match(await modelName(copy), /^onnx-model@[0-9a-f]{12}$/);
  rmSync(join(copy, 'tokenizer.json'));
  assert.throws(() => findModel(copy), /There is no tokenizer\.json in the folder/);
});

test('a model that can not be read fails the call, not the service', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'onnx-'));
  t.after(() => rmSync(folder, { recursive: true }));
  cpSync(MODEL, folder, { recursive: true });
  writeFileSync(join(folder, 'model.onnx'), 'no model');
  const embedder = open(folder);
  t.after(() => embedder.close());
  await assert.rejects(
    embedder.embed(['text'], NEVER),
    (error) => error instanceof MemplaneError && error.code === 'dependency_unavailable',
  );
});

test('an aborted call ends at once, and what takes too long is given up', async (t) => {
  const slow = new OnnxEmbedder({ folder: MODEL, model: 'm', tokens_max: 512, timeoutMs: 1 });
  t.after(() => slow.close());
  await assert.rejects(
    slow.embed(['text'], NEVER),
    (error) => error instanceof MemplaneError && error.code === 'dependency_unavailable',
  );
  const reason = new Error('gone');
  const embedder = open();
  t.after(() => embedder.close());
  await assert.rejects(embedder.embed(['text'], AbortSignal.abort(reason)), reason);
});

test('pooling counts the own tokens of a text only', () => {
  const states = Float32Array.of(1, 2, 3, 4, 9, 9, 5, 6, 7, 7, 9, 9);
  assert.deepEqual(pool(states, 2, 3, [2, 1], 'mean'), [
    Float32Array.of(2, 3),
    Float32Array.of(5, 6),
  ]);
  assert.deepEqual(pool(states, 2, 3, [2, 1], 'cls'), [
    Float32Array.of(1, 2),
    Float32Array.of(5, 6),
  ]);
});
