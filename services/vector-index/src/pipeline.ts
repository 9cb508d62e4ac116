import type { Logger } from '@memplane/runtime';
import type { VectorIndexConfig } from './config.ts';
import type { ComputedVectors, Embedder, EventFeed, FeedLine, LogShape } from './domain/ports.ts';
import type { Generation } from './drivers/generation.ts';
import { EmbeddingWorker } from './embedding-worker.ts';
import { Follower } from './follower.ts';

export interface PipelineParts {
  readonly feed: EventFeed;
  readonly logger: Logger;
  readonly config: VectorIndexConfig;
  /** Where the plane makes vectors itself. */
  readonly embedding: { embedder: Embedder; computed: ComputedVectors } | undefined;
  readonly onApplied: (lines: readonly FeedLine[], startMs: number) => void;
  readonly onComputed: () => void;
  /** See {@link Follower}. */
  readonly onMayHaveGrown: () => void;
}

/** What fills one generation: it follows the log, and computes the vectors that events lack. */
export class Pipeline {
  readonly #follower: Follower;
  readonly #worker: EmbeddingWorker | undefined;

  constructor(generation: Generation, parts: PipelineParts) {
    const { feed, logger, config, embedding, onApplied, onComputed, onMayHaveGrown } = parts;
    const { feedRetryMsMax, applyIntervalMs, apply_lines_full } = config;
    const { embed_batch_texts_max, embedRetryMsMax } = config;
    this.#follower = new Follower({
      feed,
      generation,
      logger,
      feedRetryMsMax,
      applyIntervalMs,
      apply_lines_full,
      onApplied: (lines, startMs) => {
        this.#worker?.wake();
        onApplied(lines, startMs);
      },
      onMayHaveGrown,
    });
    if (!embedding || embedding.embedder.model !== generation.model) return;
    this.#worker = new EmbeddingWorker({
      generation,
      ...embedding,
      logger,
      embed_batch_texts_max,
      embedRetryMsMax,
      onComputed,
    });
  }

  /** Why the log is not followed at the moment. */
  get problem(): string | undefined {
    return this.#follower.problem;
  }

  /** Why texts get no vectors at the moment. */
  get embeddingProblem(): string | undefined {
    return this.#worker?.problem;
  }

  /** There is more of a partition than the feed has brought. */
  nudge(partition: number): void {
    this.#follower.nudge(partition);
  }

  start(log: LogShape): void {
    this.#follower.start(log);
    this.#worker?.start();
  }

  async stop(): Promise<void> {
    await Promise.all([this.#follower.stop(), this.#worker?.stop()]);
  }
}
