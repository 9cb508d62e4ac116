import type { Invoker, Logger, Route } from '@memplane/runtime';
import type { StrongStore } from '@memplane/runtime/strong';
import type { IngestConfig } from '../config.ts';
import { erasureRoutes } from '../routes/erasures.ts';
import { holdRoutes } from '../routes/holds.ts';
import type { EntityKeys } from '../sealing/entity-keys.ts';
import type { StrongEntities } from '../strong/strong-entities.ts';
import type { ZoneKeeper } from '../strong/zone-keeper.ts';
import { clearEtcd } from './clear-etcd.ts';
import { ErasedHeads } from './erased-heads.ts';
import { Eraser, type EraserOptions } from './eraser.ts';
import { agreeOn } from './erasure-agreement.ts';
import type { ErasureGate } from './erasure-gate.ts';
import { ListedErasures, type ListingStore, PagedErasures } from './erasure-list.ts';
import { ErasureRecords } from './erasure-records.ts';
import { ErasureStore } from './erasure-store.ts';
import { ErasureWatch } from './erasure-watch.ts';
import { type PlainStoresOptions, plainRefusal } from './plain-stores.ts';

export interface ErasurePartsOptions {
  readonly strong: StrongStore | undefined;
  readonly keys: EntityKeys | undefined;
  /** Undefined: nothing was ever strong. */
  readonly entities: StrongEntities | undefined;
  /** By which instances know of each other; undefined: they do not. */
  readonly keeper: ZoneKeeper | undefined;
  readonly invoker: Invoker | undefined;
  /** See {@link PlainStoresOptions}. */
  readonly viewsCompactionLagMs: PlainStoresOptions['viewsCompactionLagMs'] | undefined;
  readonly gate: ErasureGate;
  readonly append: EraserOptions['append'];
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

/** What differs between an instance alone and one among several. */
type Drivers = Pick<EraserOptions, 'store' | 'agree' | 'purge' | 'isShared' | 'refusesPlain'>;

/** Where not every store can be cleared, what would erase refuses to, instead of pretending. */
export function createErasureParts(options: ErasurePartsOptions): ErasureParts {
  const { invoker, config } = options;
  const drivers = config.kafkaBrokers === undefined ? alone(options) : shared(options);
  if (typeof drivers === 'string' || invoker === undefined) {
    const why = typeof drivers === 'string' ? drivers : 'It has no way to the other services.';
    const routes = [...erasureRoutes(why), ...holdRoutes(why)];
    return { routes, start: async () => {}, stop: async () => {} };
  }
  const { erasures_open_max, erasurePollMs: pollMs } = config;
  const heads = headsOf(options);
  const eraser = new Eraser({ ...options, ...drivers, heads, invoker, erasures_open_max, pollMs });
  if (drivers.isShared) watchOthers(options, drivers.store, heads, eraser);
  const { store } = drivers;
  return {
    routes: [...erasureRoutes({ eraser, store }), ...holdRoutes({ store, now: options.now })],
    start: () => eraser.start(),
    stop: () => eraser.stop(),
  };
}

function headsOf({ strong, entities, now }: ErasurePartsOptions): ErasedHeads | undefined {
  if (strong === undefined || entities === undefined) return undefined;
  return new ErasedHeads({ store: strong, entities, now });
}

/** @returns why it can't erase */
function alone({ strong, gate }: ErasurePartsOptions): Drivers | string {
  if (!canErase(strong)) return 'It has no strong store that can list its records.';
  const records = new ErasureRecords(strong);
  return {
    store: new ErasureStore({ records, list: new ListedErasures(strong) }),
    agree: () => gate.drained(),
    purge: async () => {
      await strong.purge();
      return [];
    },
    isShared: false,
    refusesPlain: async () => undefined,
  };
}

/** @returns why it can't erase */
function shared(options: ErasurePartsOptions): Drivers | string {
  const { strong, keys, keeper, gate, config, now, viewsCompactionLagMs } = options;
  const { etcdEndpoints: endpoints, etcd_turn_bytes: turnBytes } = config;
  if (strong === undefined || viewsCompactionLagMs === undefined) return 'It has no strong store.';
  if (keeper === undefined) return 'Its instances do not know of each other: MEMPLANE_ZONES.';
  if (keys !== undefined && endpoints === undefined) {
    return 'It can not clear what etcd keeps of removed keys: MEMPLANE_ETCD_ENDPOINTS.';
  }
  const records = new ErasureRecords(strong);
  const list = new PagedErasures(records);
  return {
    store: new ErasureStore({ records, list, runner: keeper.instance }),
    agree: agreeOn({ gate, keeper, config }),
    purge: async ({ hadEvents }) =>
      endpoints === undefined ? [] : [await clearEtcd({ endpoints, turnBytes, hadEvents, now })],
    isShared: true,
    refusesPlain: plainRefusal({
      strong,
      seals: keys !== undefined,
      turnsEtcd: endpoints !== undefined && turnBytes > 0,
      viewsCompactionLagMs,
    }),
  };
}

function watchOthers(
  { gate, keys, keeper, logger }: ErasurePartsOptions,
  store: ErasureStore,
  heads: ErasedHeads | undefined,
  eraser: Eraser,
): void {
  if (keeper === undefined) return;
  const watch = new ErasureWatch({
    open: () => store.open(),
    gate,
    keys,
    heads,
    instance: keeper.instance,
    gone: (instances) => keeper.gone(instances),
    onAbandoned: async (entry) => {
      await eraser.takeOver(entry).catch((err: unknown) => {
        logger.warn({ err, erasure: entry.id }, 'an erasure could not be taken over yet');
      });
    },
  });
  keeper.accompany(watch);
}

function canErase(
  store: StrongStore | undefined,
): store is ListingStore & Required<Pick<StrongStore, 'purge'>> {
  return store?.records !== undefined && store.purge !== undefined;
}
