/** The thread of a local model: it answers one batch of texts after the other. */
import { parentPort, workerData } from 'node:worker_threads';
import { OnnxModel } from './onnx-model.ts';
import type { EmbedReply, EmbedRequest, OnnxSetup } from './protocol.ts';

const { folder, tokens_max } = workerData as OnnxSetup;
const model = OnnxModel.load(folder, tokens_max);
// Whoever asks is told; without a question nobody need hear of it.
model.catch(() => {});
let last: Promise<void> = Promise.resolve();

parentPort?.on('message', (request: EmbedRequest) => {
  last = last.then(async () => parentPort?.postMessage(await answer(request)));
});

async function answer({ ref, texts }: EmbedRequest): Promise<EmbedReply> {
  try {
    const vectors = await (await model).embed(texts);
    return { ref, vectors: vectors.map((vector) => new Float32Array(vector)) };
  } catch (error) {
    return { ref, error: error instanceof Error ? error.message : String(error) };
  }
}
