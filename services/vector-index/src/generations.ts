import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { MemplaneError } from '@memplane/contracts';
import { Generation, type GenerationOptions } from './drivers/generation.ts';

const FORMAT_VERSION = 1;

interface Current {
  readonly formatVersion: number;
  readonly generation: number;
  readonly model: string | null;
  readonly dimensions: number;
  readonly keyId: null;
}

export interface NumberedGeneration {
  readonly number: number;
  readonly index: Generation;
}

/**
 * The index that answers, and, after a change of the model or the dimensions, or when much of it can no
 * longer be shown, the one that is built beside it from the log until it has all that the first has. `CURRENT` names the one that answers.
 */
export class Generations {
  readonly #folder: string;
  readonly #options: GenerationOptions;
  readonly #retireMs: number;
  #live: NumberedGeneration;
  #building: NumberedGeneration | undefined;
  readonly #retired = new Map<Generation, NodeJS.Timeout>();
  readonly #removing = new Set<Promise<void>>();

  /** @param retireMs how long searches under way may go on with a generation that was replaced */
  constructor(folder: string, options: GenerationOptions, retireMs: number) {
    this.#folder = folder;
    this.#options = options;
    this.#retireMs = retireMs;
    mkdirSync(folder, { recursive: true });
    const current = this.#readCurrent();
    const model = options.model ?? null;
    if (!current) {
      this.#live = this.#open(1, options);
      this.#writeCurrent(this.#live);
      this.live.elsewhere?.promote();
      return;
    }
    if (current.model === model && current.dimensions === options.dimensions) {
      this.#live = this.#open(current.generation, options);
      this.#removeOthers([current.generation]);
      this.live.elsewhere?.promote();
      return;
    }
    this.#live = this.#open(current.generation, {
      ...options,
      model: current.model ?? undefined,
      dimensions: current.dimensions,
      computes: false,
    });
    this.#removeOthers([current.generation, current.generation + 1]);
    // One begun for yet another model is of no use: it begins anew.
    this.#building = this.#open(current.generation + 1, options);
  }

  /** Whether any folder but that of the one that answers is left, or is to be. */
  get hasOthers(): boolean {
    const own = this.#numbers();
    return this.#building !== undefined || own.length > 1 || own[0] !== this.#live.number;
  }

  get live(): Generation {
    return this.#live.index;
  }

  get building(): Generation | undefined {
    return this.#building?.index;
  }

  get all(): readonly NumberedGeneration[] {
    return this.#building ? [this.#live, this.#building] : [this.#live];
  }

  /**
   * Begins the same index once more, to be filled with what can still be shown.
   * @returns the new one; undefined while another is being built
   */
  beginAnew(): Generation | undefined {
    if (this.#building) return undefined;
    const number = this.#live.number + 1;
    rmSync(this.#place(number), { recursive: true, force: true });
    this.#building = this.#open(number, this.#options);
    return this.#building.index;
  }

  /** Switches once the new generation has all that the live one has; true when it did. */
  switchIfReady(): boolean {
    const next = this.#building;
    if (!next) return false;
    for (const [partition, offset] of this.live.applied) {
      if ((next.index.applied.get(partition) ?? -1) < offset) return false;
    }
    if (next.index.statusOfAll().vectorsPending > 0) return false;
    if (next.index.elsewhere?.caughtUp === false) return false;
    const old = this.#live;
    next.index.commit();
    this.#writeCurrent(next);
    this.#live = next;
    this.#building = undefined;
    const { elsewhere } = next.index;
    elsewhere?.promote();
    if (elsewhere) old.index.elsewhere?.supersededBy(elsewhere);
    const retire = () => {
      this.#retired.delete(old.index);
      void this.#remove(old);
    };
    this.#retired.set(old.index, setTimeout(retire, this.#retireMs).unref());
    return true;
  }

  async close(): Promise<void> {
    const open = [...this.#retired.keys(), ...this.all.map(({ index }) => index)];
    for (const timer of this.#retired.values()) clearTimeout(timer);
    await Promise.all([...open.map((index) => index.close()), ...this.#removing]);
  }

  /** What fails here is removed at a later start, or stays: nothing reads it any more. */
  async #remove({ number, index }: NumberedGeneration): Promise<void> {
    const removed = index.close(true).then(() => {
      rmSync(this.#place(number), { recursive: true, force: true });
    });
    this.#removing.add(removed);
    await removed.finally(() => this.#removing.delete(removed));
  }

  /** What a run that ended early has left. */
  #removeOthers(kept: readonly number[]): void {
    for (const number of this.#numbers()) {
      if (!kept.includes(number)) rmSync(this.#place(number), { recursive: true, force: true });
    }
  }

  /** Of the folders that are there. */
  #numbers(): number[] {
    return readdirSync(this.#folder).flatMap((name) => {
      const number = /^generation-(\d+)$/.exec(name)?.[1];
      return number === undefined ? [] : [Number(number)];
    });
  }

  #place(number: number): string {
    return join(this.#folder, `generation-${number}`);
  }

  #open(number: number, options: GenerationOptions): NumberedGeneration {
    return { number, index: new Generation(this.#place(number), options) };
  }

  #readCurrent(): Current | undefined {
    try {
      const found = JSON.parse(readFileSync(join(this.#folder, 'CURRENT'), 'utf8')) as Current;
      if (found.formatVersion === FORMAT_VERSION) return found;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw error;
    }
    throw new MemplaneError('storage_damaged', 'The file CURRENT is of another version.');
  }

  #writeCurrent({ number, index }: NumberedGeneration): void {
    const current: Current = {
      formatVersion: FORMAT_VERSION,
      generation: number,
      model: index.model ?? null,
      dimensions: index.dimensions,
      keyId: null,
    };
    const path = join(this.#folder, 'CURRENT');
    const file = openSync(`${path}.new`, 'w');
    writeSync(file, JSON.stringify(current));
    fsyncSync(file);
    closeSync(file);
    renameSync(`${path}.new`, path);
  }
}
