import { setTimeout as sleep } from 'node:timers/promises';
import { MemplaneError } from '@memplane/contracts';
import type { Embedder } from '../domain/ports.ts';

export interface OpenAiEmbedderOptions {
  /** Up to and without `/embeddings`, e.g. `http://127.0.0.1:11434/v1`. */
  readonly url: string;
  readonly model: string;
  readonly key: string | undefined;
  /** The longest that one attempt may take. */
  readonly timeoutMs: number;
  readonly attempts_max: number;
  /** The first pause after a failure; each further one is twice as long. */
  readonly retryMs: number;
}

/** Any endpoint with OpenAI's `POST /embeddings`: hosted, or Ollama, vLLM, TEI, llama.cpp. */
export function createOpenAiEmbedder(options: OpenAiEmbedderOptions): Embedder {
  return {
    model: options.model,
    async embed(texts, signal) {
      let cause: unknown;
      for (let attempt = 0; attempt < options.attempts_max; attempt++) {
        if (attempt > 0) {
          await sleep(options.retryMs * 2 ** (attempt - 1), undefined, { signal });
        }
        try {
          return await request(options, texts, signal);
        } catch (error) {
          signal.throwIfAborted();
          cause = error;
          if (error instanceof Refused) break;
        }
      }
      const why = cause instanceof Error ? cause.message : String(cause);
      throw new MemplaneError('dependency_unavailable', `The embedder does not answer: ${why}`, {
        cause,
        retryAfterMs: 1_000,
      });
    },
    async close() {},
  };
}

/** An answer that a repetition would not change. */
class Refused extends Error {}

async function request(
  options: OpenAiEmbedderOptions,
  texts: readonly string[],
  signal: AbortSignal,
): Promise<Float32Array[]> {
  const response = await fetch(`${options.url.replace(/\/$/, '')}/embeddings`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      ...(options.key ? { authorization: `Bearer ${options.key}` } : {}),
    },
    body: JSON.stringify({ model: options.model, input: texts, encoding_format: 'float' }),
    signal: AbortSignal.any([signal, AbortSignal.timeout(options.timeoutMs)]),
  });
  if (!response.ok) {
    await response.body?.cancel();
    const permanent = response.status < 500 && ![408, 409, 429].includes(response.status);
    const Kind = permanent ? Refused : Error;
    throw new Kind(`status ${response.status}`);
  }
  const answer = (await response.json()) as { data?: { index?: number; embedding?: unknown }[] };
  const vectors: Float32Array[] = [];
  for (const [i, { index = i, embedding }] of (answer.data ?? []).entries()) {
    if (Array.isArray(embedding)) vectors[index] = Float32Array.from(embedding as number[]);
  }
  for (let i = 0; i < texts.length; i++) {
    if (vectors[i] === undefined) throw new Error('the answer lacks a vector');
  }
  return vectors;
}
