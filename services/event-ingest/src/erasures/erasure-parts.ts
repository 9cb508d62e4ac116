import type { Invoker, Logger, Route } from '@memplane/runtime';
import type { Appended } from '../appender.ts';
import type { IngestConfig } from '../config.ts';
import type { PreparedEvent } from '../domain/prepare.ts';
import type { StrongStore } from '../domain/strong/store.ts';
import { erasureRoutes } from '../routes/erasures.ts';
import { holdRoutes } from '../routes/holds.ts';
import type { EntityKeys } from '../sealing/entity-keys.ts';
import { Eraser } from './eraser.ts';
import type { ErasureGate } from './erasure-gate.ts';
import { ErasureStore, type ListingStore } from './erasure-store.ts';

export interface ErasurePartsOptions {
  readonly strong: StrongStore | undefined;
  readonly keys: EntityKeys | undefined;
  readonly invoker: Invoker | undefined;
  readonly gate: ErasureGate;
  readonly append: (event: PreparedEvent, tenant: string) => Promise<Appended>;
  readonly config: IngestConfig;
  readonly logger: Logger;
  readonly newId: () => string;
  readonly now: () => number;
}

/** What erases entities, with its routes. */
export interface ErasureParts {
  readonly routes: readonly Route[];
  start(): Promise<void>;
  stop(): Promise<void>;
}

/** Where not every store can be cleared, what would erase refuses to, instead of pretending. */
export function createErasureParts(options: ErasurePartsOptions): ErasureParts {
  const { strong, invoker, config } = options;
  if (!canErase(strong) || invoker === undefined || config.kafkaBrokers !== undefined) {
    const routes = [...erasureRoutes(undefined), ...holdRoutes(undefined)];
    return { routes, start: async () => {}, stop: async () => {} };
  }
  const store = new ErasureStore(strong);
  const { erasures_open_max, erasurePollMs: pollMs } = config;
  const purge = () => strong.purge();
  const eraser = new Eraser({ ...options, invoker, store, purge, erasures_open_max, pollMs });
  return {
    routes: [...erasureRoutes({ eraser, store }), ...holdRoutes({ store, now: options.now })],
    start: () => eraser.start(),
    stop: () => eraser.stop(),
  };
}

function canErase(
  store: StrongStore | undefined,
): store is ListingStore & Required<Pick<StrongStore, 'purge'>> {
  return store?.records !== undefined && store.purge !== undefined;
}
