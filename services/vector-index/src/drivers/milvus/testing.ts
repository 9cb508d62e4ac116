import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { milvusPlan, ServerProcess } from '@memplane/stack';
import pino from 'pino';
import type { VectorsElsewhereFactory } from '../vectors-elsewhere.ts';
import { type MilvusOptions, MilvusVectors } from './milvus-vectors.ts';

/** A Milvus of its own for a test file, which ends with the test. */
export class TestMilvus {
  readonly server: ServerProcess;
  readonly address: string;
  readonly #dir: string;
  #aliases = 0;

  private constructor(server: ServerProcess, address: string, dir: string) {
    this.server = server;
    this.address = address;
    this.#dir = dir;
  }

  static async start(): Promise<TestMilvus> {
    const dir = mkdtempSync(join(tmpdir(), 'memplane-milvus-'));
    const plan = await milvusPlan({ dir });
    const server = await ServerProcess.start(plan);
    return new TestMilvus(server, `127.0.0.1:${plan.port}`, dir);
  }

  async stop(): Promise<void> {
    await this.server.stop();
    rmSync(this.#dir, { recursive: true, force: true });
  }

  /** Settings of an instance, under a common name that no other has. */
  options(changes: Partial<MilvusOptions> = {}): MilvusOptions {
    return {
      address: this.address,
      token: undefined,
      alias: `test_${this.#aliases++}`,
      instance: 'one',
      logger: pino({ level: 'silent' }),
      callTimeoutMs: 10_000,
      searchTimeoutMs: 10_000,
      loadTimeoutMs: 60_000,
      retryMsMax: 500,
      hedgeDelayMs: 5_000,
      milvus_partitions: 2,
      ivf_lists: 64,
      ivf_probes: 16,
      direct_rows_max: 16,
      exact_cache_bytes_max: 1 << 16,
      fallback_rows_max: 65_536,
      rerank_rows_min: 64,
      search_rows_max: 16_384,
      write_rows_max: 500,
      flush_rows_max: 2_000,
      flushIntervalMs: 100,
      unsettled_rows_max: 4_000,
      takeoverMs: 0,
      positionsPollMs: 100,
      ...changes,
    };
  }

  factory(changes: Partial<MilvusOptions> = {}): VectorsElsewhereFactory {
    const options = this.options(changes);
    return (shape) => new MilvusVectors(shape, options);
  }
}
