import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import type { LogWriter } from '@memplane/event-log';
import type { Invoker, Logger, Route } from '@memplane/runtime';
import type { StrongStore } from '@memplane/runtime/strong';
import type { Meter } from '@opentelemetry/api';
import type { Appender } from '../appender.ts';
import type { IngestConfig } from '../config.ts';
import type { DuplicateRecord } from '../domain/duplicate-record.ts';
import { Observations } from '../domain/strong/observations.ts';
import { InvokedViews } from '../drivers/invoked-views.ts';
import type { ErasureGate } from '../erasures/erasure-gate.ts';
import { exportStrongRoutes } from '../routes/export-strong.ts';
import { getZoneRoute } from '../routes/get-zone.ts';
import { finishHeadRoute } from '../routes/heads.ts';
import { leaseRoutes } from '../routes/leases.ts';
import type { SealedZones } from '../sealing/sealer.ts';
import { Leases } from './leases.ts';
import { StrongAppends } from './strong-appends.ts';
import { StrongEffects } from './strong-effects.ts';
import { StrongEntities } from './strong-entities.ts';
import { ZoneGate } from './zone-gate.ts';
import { ZoneKeeper } from './zone-keeper.ts';

/** The strong store as the host gives it. */
export interface StrongContext {
  readonly store: StrongStore;
  /** No other instance can use the store. */
  readonly isAlone: boolean;
  /** Gets the store ready, where that takes a while; called again until it has. */
  readonly prepare?: () => Promise<void>;
}

export interface StrongPartsOptions {
  readonly context: StrongContext;
  readonly config: IngestConfig;
  readonly log: LogWriter;
  readonly appender: Appender;
  readonly duplicates: DuplicateRecord;
  readonly invoker: Invoker;
  readonly erasures: ErasureGate;
  readonly logger: Logger;
  readonly meter: Meter;
  readonly now: () => number;
}

const OBSERVED_MAX = 10_000;

/** Everything of event-ingest that stands on the strong store. */
export class StrongParts {
  readonly #options: StrongPartsOptions;
  readonly #entities: StrongEntities;
  readonly #leases: Leases;
  readonly #gate: ZoneGate | undefined;
  readonly #keeper: ZoneKeeper | undefined;
  readonly #preparing = new AbortController();
  /** Undefined: every entity is eventual. */
  readonly appends: StrongAppends | undefined;

  constructor(options: StrongPartsOptions) {
    const { context, config, invoker, logger, meter, now } = options;
    this.#options = options;
    const monotonicMs = () => performance.now();
    const { store, isAlone } = context;
    const observations = new Observations(OBSERVED_MAX);
    const effects = new StrongEffects({
      ...options,
      store,
      views: new InvokedViews({ invoker, waitMs: config.strongViewWaitMs }),
      observations,
      monotonicMs,
      pause,
      random: Math.random,
      viewWaitMs: config.strongViewWaitMs,
    });
    const { strong_queue_max, strongClearMs: clearMs } = config;
    this.#entities = new StrongEntities({ effects, strong_queue_max, clearMs });
    // Alone, the table of an earlier run holds on, though its file is named no more.
    if (config.zonesPath !== undefined || isAlone) {
      this.#gate = new ZoneGate(monotonicMs);
      this.#keeper = new ZoneKeeper({
        store,
        gate: this.#gate,
        path: config.zonesPath,
        isAlone,
        instance: randomUUID(),
        pollMs: config.zonesPollMs,
        registrationMs: config.zoneRegistrationMs,
        observations,
        monotonicMs,
        logger,
      });
    }
    const leases = meter.createCounter('memplane.ingest.leases', { unit: '{request}' });
    this.#leases = new Leases({
      effects,
      entities: this.#entities,
      gate: this.#gate,
      lease_waiters_max: config.lease_waiters_max,
      newNonce: randomUUID,
      now,
      monotonicMs,
      pause,
      onOutcome: (outcome) => leases.add(1, { outcome }),
    });
    if (this.#gate !== undefined) {
      const gate = this.#gate;
      this.appends = new StrongAppends({ gate, entities: this.#entities, newNonce: randomUUID });
    }
    this.#observe(meter);
  }

  /** By the table in force. */
  get zones(): SealedZones {
    const gate = this.#gate;
    return {
      get hasSealed() {
        return gate?.table.hasSealed ?? false;
      },
      isSealed: (entity) => gate?.table.isSealed(entity) ?? false,
    };
  }

  /** Of strong entities, and of those that were. */
  get entities(): StrongEntities {
    return this.#entities;
  }

  /** Undefined: instances do not know of each other. */
  get keeper(): ZoneKeeper | undefined {
    return this.#keeper;
  }

  get routes(): Route[] {
    const { context, config, erasures } = this.#options;
    const { zonesPath } = config;
    return [
      ...leaseRoutes(this.#leases),
      finishHeadRoute(this.#entities, this.#gate, erasures),
      getZoneRoute(this.#gate, this.#keeper, zonesPath),
      ...exportStrongRoutes(context.store, config.sealingKeysFile !== undefined),
    ];
  }

  /** What `/readyz` tells of it; undefined: nothing of note. */
  get state(): { readonly ready: boolean; readonly zonesProblem?: string } {
    const problem = this.#keeper?.problem;
    const ready = (this.#gate?.isValid ?? true) && (this.#keeper?.hasLooked ?? true);
    return { ready, ...(problem === undefined ? {} : { zonesProblem: problem }) };
  }

  /** Resolves when the zones were looked at once. */
  async start(): Promise<void> {
    void this.#prepare();
    await this.#keeper?.start();
  }

  async stop(): Promise<void> {
    this.#preparing.abort();
    this.#entities.close();
    await this.#keeper?.stop();
    await this.#options.context.store.close();
  }

  async #prepare(): Promise<void> {
    const { context, logger, config } = this.#options;
    const { signal } = this.#preparing;
    for (let tried = 0; !signal.aborted; tried++) {
      try {
        await context.prepare?.();
        return;
      } catch (error) {
        if (tried === 0) logger.warn({ err: error }, 'the strong store is not ready');
        await pause(config.zonesPollMs, undefined, { signal }).catch(() => {});
      }
    }
  }

  #observe(meter: Meter): void {
    const gauge = (name: string, unit: string, description: string, look: () => number) =>
      meter
        .createObservableGauge(name, { unit, description })
        .addCallback((r) => r.observe(look()));
    gauge('memplane.ingest.strong.busy', '{entity}', 'Strong entities at work.', () => {
      return this.#entities.busy;
    });
    gauge('memplane.ingest.zones.version', '1', 'Of the table in force.', () => {
      return this.#gate?.version ?? 0;
    });
    gauge('memplane.ingest.zones.file_wrong', '1', '1: the file of zones is wrong.', () => {
      return this.#keeper?.problem === undefined ? 0 : 1;
    });
    gauge('memplane.ingest.zones.changing', '1', '1: a change of zones is under way.', () => {
      return this.#gate?.next === undefined ? 0 : 1;
    });
  }
}
