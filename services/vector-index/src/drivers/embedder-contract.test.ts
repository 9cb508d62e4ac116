import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { MemplaneError } from '@memplane/contracts';
import type { Embedder } from '../domain/ports.ts';
import { OnnxEmbedder } from './onnx/onnx-embedder.ts';
import { createOpenAiEmbedder } from './openai-embedder.ts';

const NEVER = new AbortController().signal;
const TEXTS = ['the harbour', 'a violin in the orchard', '', 'ünïcode 雨', 'the harbour'];

interface Driver {
  readonly name: string;
  working(t: TestContext): Promise<Embedder>;
  /** One whose model or endpoint is not there. */
  broken(): Embedder;
  readonly says: RegExp;
}

const onnx = (folder: string) =>
  new OnnxEmbedder({ folder, model: 'contract', tokens_max: 64, timeoutMs: 20_000 });

const openAi = (url: string) =>
  createOpenAiEmbedder({
    url,
    model: 'contract',
    key: undefined,
    timeoutMs: 20_000,
    attempts_max: 2,
    retryMs: 1,
  });

const DRIVERS: readonly Driver[] = [
  {
    name: 'onnx',
    working: async () => onnx(join(import.meta.dirname, '../testing/onnx-model')),
    broken: () => onnx(join(import.meta.dirname, 'no-such-folder')),
    says: /no model\.onnx in the folder .*no-such-folder/,
  },
  {
    name: 'openai',
    working: async (t) => {
      const server = createServer(async (request, response) => {
        let body = '';
        for await (const chunk of request) body += chunk;
        const { input } = JSON.parse(body) as { input: string[] };
        const data = input.map((text, index) => {
          const codes = [...text].map((character) => character.codePointAt(0) ?? 0);
          const embedding = [0, 1, 2, 3].map((d) =>
            codes.reduce((sum, c) => sum + (c % (d + 7)), 1),
          );
          return { index, embedding };
        });
        // The order of an answer is in `index` alone.
        response.end(JSON.stringify({ data: data.reverse() }));
      });
      await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
      t.after(() => server.close());
      return openAi(`http://127.0.0.1:${(server.address() as AddressInfo).port}/v1/`);
    },
    broken: () => openAi('http://127.0.0.1:1/v1'),
    says: /does not answer/,
  },
];

function near(a: Float32Array | undefined, b: Float32Array | undefined): boolean {
  if (!a || !b || a.length !== b.length || a.length === 0) return false;
  return a.every((value, i) => Math.abs(value - (b[i] ?? Number.NaN)) < 1e-5);
}

for (const { name, working, broken, says } of DRIVERS) {
  test(`${name}: one vector a text, in order, whatever else is in the batch`, async (t) => {
    const embedder = await working(t);
    t.after(() => embedder.close());
    assert.equal(embedder.model, 'contract');
    const batch = await embedder.embed(TEXTS, NEVER);
    assert.equal(batch.length, TEXTS.length);
    const alone = await Promise.all(TEXTS.map((text) => embedder.embed([text], NEVER)));
    for (const [i, [vector]] of alone.entries()) {
      assert.ok(batch[i] instanceof Float32Array);
      assert.ok(near(batch[i], vector), `text ${i}`);
    }
    assert.ok(near(batch[0], batch[4]), 'the same text, the same vector');
    assert.ok(!near(batch[0], batch[1]), 'another text, another vector');
  });

  test(`${name}: an aborted call ends with the caller's reason, and the next one works`, async (t) => {
    const embedder = await working(t);
    t.after(() => embedder.close());
    const reason = new Error('the caller has gone');
    await assert.rejects(embedder.embed(TEXTS, AbortSignal.abort(reason)), reason);
    const leaving = new AbortController();
    const left = embedder.embed(TEXTS, leaving.signal);
    leaving.abort(reason);
    await assert.rejects(left, reason);
    assert.equal((await embedder.embed(TEXTS, NEVER)).length, TEXTS.length);
  });

  test(`${name}: what can not be had is dependency_unavailable`, async (t) => {
    const embedder = broken();
    t.after(() => embedder.close());
    await assert.rejects(embedder.embed(['text'], NEVER), (error) => {
      assert.ok(error instanceof MemplaneError);
      assert.equal(error.code, 'dependency_unavailable');
      assert.match(error.message, says);
      return true;
    });
  });
}
