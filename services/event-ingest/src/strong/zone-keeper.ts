import { readFile } from 'node:fs/promises';
import { MemplaneError } from '@memplane/contracts';
import { FileChanges, type Logger } from '@memplane/runtime';
import type { StrongStore, Versioned } from '@memplane/runtime/strong';
import { LEASE_MARGIN } from '../domain/strong/lease.ts';
import type { Observations } from '../domain/strong/observations.ts';
import {
  completed,
  decodeRecord,
  encodeRecord,
  NO_ZONES,
  proposed,
  unconfirmed,
  unconfirmedErasure,
  withInstance,
  withoutInstances,
  ZONE_INSTANCES_KEY,
  ZONES_KEY,
  type ZoneInstances,
  type ZoneRecord,
} from '../domain/zones/zone-record.ts';
import type { ZoneRule } from '../domain/zones/zone-table.ts';
import type { ZoneGate } from './zone-gate.ts';

export interface ZoneKeeperOptions {
  readonly store: StrongStore;
  readonly gate: ZoneGate;
  /** The file of zones; undefined: the table in force stays as it is. */
  readonly path: string | undefined;
  /** No other instance can be there: the store is this process's own. */
  readonly isAlone: boolean;
  /** Unlike that of any other. */
  readonly instance: string;
  readonly pollMs: number;
  /** How long a registration holds without a renewal. */
  readonly registrationMs: number;
  readonly observations: Observations;
  readonly monotonicMs: () => number;
  readonly logger: Logger;
}

/** What else instances agree on by their registrations. */
export interface RegistrationCompanion {
  /** Told with the registration. */
  readonly confirmed: readonly string[];
  /** Whether others wait for what is confirmed. */
  readonly isAwaited: boolean;
  /** Called after each renewal, before the registration holds any longer. */
  look(): Promise<void>;
  /** The registration begins anew: in between others may have gone on without this instance. */
  lapsed(): void;
}

/** Steps of one look: a change proposed, confirmed, in force, and the next. */
const STEPS_MAX = 8;
const WRITES_MAX = 20;
/** While a change is under way, by how much oftener it is looked at. */
const HURRY = 5;

/**
 * Keeps the gate to the table in force. A file is read again and again, and what has changed is
 * proposed; a change is in force once every registered instance has confirmed that nothing of the
 * time before it is under way. An instance whose registration lapses appends nothing any more,
 * before others go on without it.
 */
export class ZoneKeeper {
  readonly #options: ZoneKeeperOptions;
  readonly #changes: FileChanges;
  #timer: NodeJS.Timeout | undefined;
  #looking: Promise<void> = Promise.resolve();
  #isStopped = false;
  /** What the file says, while that is not in force. */
  #proposal: readonly ZoneRule[] | undefined;
  #problem: string | undefined;
  #waitsFor: readonly string[] = [];
  #confirmed = 0;
  #hasLooked = false;
  #companion: RegistrationCompanion | undefined;

  constructor(options: ZoneKeeperOptions) {
    this.#options = options;
    this.#changes = new FileChanges(options.path ?? '');
  }

  /** Whether the file was once looked at, so that what it says is in force, or on its way. */
  get hasLooked(): boolean {
    return this.#hasLooked;
  }

  /** What is wrong with the file. */
  get problem(): string | undefined {
    return this.#problem;
  }

  /** Instances that have not confirmed the change that is under way. */
  get waitsFor(): readonly string[] {
    return this.#waitsFor;
  }

  /** How this instance is called among those that are registered. */
  get instance(): string {
    return this.#options.instance;
  }

  /** To be called before {@link start}. */
  accompany(companion: RegistrationCompanion): void {
    this.#companion = companion;
  }

  /** Who of the registered has not confirmed an erasure, of those that are not gone. */
  async unconfirmedErasure(id: string): Promise<readonly string[]> {
    const instances = await this.#instances();
    return unconfirmedErasure(instances, id).filter((name) => !this.#isGone(instances, name));
  }

  /** Which of some instances append nothing any more. */
  async gone(names: readonly string[]): Promise<readonly string[]> {
    const instances = await this.#instances();
    return names.filter((name) => instances[name] === undefined || this.#isGone(instances, name));
  }

  /** Begins; resolves after the first look, whatever came of it. */
  async start(): Promise<void> {
    await this.#lookAndGoOn();
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    clearTimeout(this.#timer);
    await this.#looking;
    if (this.#options.isAlone) return;
    await this.#changeInstances((all) =>
      withoutInstances(all, (name) => name === this.#options.instance),
    ).catch(() => {});
  }

  async #lookAndGoOn(): Promise<void> {
    this.#looking = this.#look().catch((error: unknown) => {
      this.#options.logger.warn({ err: error }, 'the table of zones can not be looked at');
    });
    await this.#looking;
    if (this.#isStopped) return;
    const { pollMs, gate } = this.#options;
    const isAwaited = gate.next !== undefined || this.#companion?.isAwaited === true;
    const ms = isAwaited ? pollMs / HURRY : pollMs;
    this.#timer = setTimeout(() => void this.#lookAndGoOn(), ms).unref();
  }

  async #look(): Promise<void> {
    await this.#readFile();
    await this.#renew();
    for (let step = 0; step < STEPS_MAX; step++) if (!(await this.#step())) break;
    this.#hasLooked = true;
  }

  /** @returns whether there may be more to do */
  async #step(): Promise<boolean> {
    const { store, gate, logger } = this.#options;
    const stored = await store.get(ZONES_KEY);
    const record = stored === undefined ? NO_ZONES : decodeRecord<ZoneRecord>(stored.value);
    gate.see(record);
    const { change } = record;
    if (change === undefined) {
      this.#waitsFor = [];
      return this.#propose(record, stored);
    }
    if (this.#confirmed < change.version) {
      await gate.drained();
      this.#confirmed = change.version;
      await this.#renew();
    }
    this.#waitsFor = await this.#unconfirmed(change.version);
    if (this.#waitsFor.length > 0) return false;
    const isWritten = await this.#write(completed(record), stored);
    if (isWritten) logger.warn({ version: change.version, rules: change.rules }, 'zones in force');
    return true;
  }

  async #propose(record: ZoneRecord, stored: Versioned | undefined): Promise<boolean> {
    if (this.#proposal === undefined) return false;
    const next = proposed(record, this.#proposal);
    if (next === undefined) {
      this.#proposal = undefined;
      return false;
    }
    await this.#write(next, stored);
    return true;
  }

  async #write(record: ZoneRecord, stored: Versioned | undefined): Promise<boolean> {
    const { store } = this.#options;
    const text = encodeRecord(record);
    const outcome =
      stored === undefined
        ? await store.create(ZONES_KEY, text)
        : await store.compareAndSet(ZONES_KEY, text, stored.version);
    return outcome.kind === 'written';
  }

  async #unconfirmed(version: number): Promise<string[]> {
    if (this.#options.isAlone) return [];
    const instances = await this.#instances();
    return unconfirmed(instances, version, (name) => this.#isGone(instances, name));
  }

  async #instances(): Promise<ZoneInstances> {
    const stored = await this.#options.store.get(ZONE_INSTANCES_KEY);
    return stored === undefined ? {} : decodeRecord<ZoneInstances>(stored.value);
  }

  #isGone(instances: ZoneInstances, name: string): boolean {
    const { observations, monotonicMs, registrationMs } = this.#options;
    return observations.isUnchangedFor(
      `${ZONE_INSTANCES_KEY}.${name}`,
      String(instances[name]?.renewal),
      registrationMs * LEASE_MARGIN,
      monotonicMs(),
    );
  }

  /** From the sending on, as others count from the reading. */
  async #renew(): Promise<void> {
    const { gate, isAlone, instance, monotonicMs, registrationMs } = this.#options;
    const sentMs = monotonicMs();
    const [confirmed, erasures] = [this.#confirmed, this.#companion?.confirmed];
    if (isAlone) {
      gate.extend(Number.POSITIVE_INFINITY);
      return;
    }
    await this.#changeInstances((all) => {
      const there = withoutInstances(all, (name) => name !== instance && this.#isGone(all, name));
      return withInstance(there, instance, confirmed, erasures);
    });
    // What others agreed on before they knew of this instance is known here before it appends.
    await this.#companion?.look();
    if (gate.extend(sentMs + registrationMs)) this.#companion?.lapsed();
  }

  async #changeInstances(change: (all: ZoneInstances) => ZoneInstances): Promise<void> {
    const { store } = this.#options;
    for (let attempt = 0; attempt < WRITES_MAX; attempt++) {
      const stored = await store.get(ZONE_INSTANCES_KEY);
      const all = stored === undefined ? {} : decodeRecord<ZoneInstances>(stored.value);
      const text = encodeRecord(change(all));
      const outcome =
        stored === undefined
          ? await store.create(ZONE_INSTANCES_KEY, text)
          : await store.compareAndSet(ZONE_INSTANCES_KEY, text, stored.version);
      if (outcome.kind === 'written') return;
      await new Promise((resolve) => setTimeout(resolve, Math.random() * 20));
    }
    throw new MemplaneError('no_quorum', 'The registration was not confirmed.');
  }

  /** A file that can't be read, or is wrong, leaves the table in force as it is. */
  async #readFile(): Promise<void> {
    const { path, logger } = this.#options;
    if (path === undefined) return;
    try {
      if (!(await this.#changes.look())) return;
      const text = await readFile(path, 'utf8').catch((error: unknown) => {
        this.#changes.forget();
        throw error;
      });
      // Its parser is loaded only where there is a file.
      const { parseZoneFile } = await import('../domain/zones/zone-file.ts');
      this.#proposal = parseZoneFile(text);
      this.#problem = undefined;
    } catch (error) {
      const problem = error instanceof Error ? error.message : String(error);
      if (problem === this.#problem) return;
      this.#problem = problem;
      logger.error({ path, problem }, 'the file of zones is wrong; the table in force stays');
    }
  }
}
