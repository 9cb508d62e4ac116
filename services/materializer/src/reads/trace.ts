import { type CloudEvent, MemplaneError, type TraceNode } from '@memplane/contracts';
import { parseCause } from '../domain/causation.ts';
import { after, offsetAtEnd, ShardKeys, toKey } from '../domain/keys.ts';
import { latestCut } from './cuts.ts';
import {
  type EventPlace,
  type EventRequest,
  findEvent,
  findEvents,
  readEvents,
} from './history.ts';
import { allPartitions, gather, type Part } from './part.ts';
import { inSnapshot, type Plane, type Waiting } from './plane.ts';

interface Unresolved {
  readonly effect: string;
  readonly causationId: string;
  readonly reason: 'not_found' | 'ambiguous_id';
}

export interface Trace {
  readonly root: string;
  readonly nodes: readonly TraceNode[];
  readonly edges: readonly { readonly cause: string; readonly effect: string }[];
  readonly unresolved: readonly Unresolved[];
  readonly truncated: boolean;
}

/**
 * The causes of an event, theirs, and so on; and its effects and theirs, as of one cut: what comes
 * while the graph is walked is no part of it.
 * @throws MemplaneError `not_found`, `ambiguous_id`
 */
export async function readTrace(
  plane: Plane,
  request: EventRequest,
  wait: Waiting,
): Promise<Trace> {
  const { offsets } = await latestCut(plane, wait);
  const place = await findEvent(plane, request, wait);
  const end = Math.max(place.offset, offsets.get(place.partition) ?? -1);
  const cut = new Map(offsets).set(place.partition, end);
  return await new Tracer(plane, { tenant: request.tenant, cut, wait }).run(place);
}

interface Scope {
  readonly tenant: string;
  readonly cut: ReadonlyMap<number, number>;
  readonly wait: Waiting;
}

interface Found {
  readonly key: string;
  readonly place: EventPlace;
  readonly event: CloudEvent;
}

class Tracer {
  readonly #plane: Plane;
  readonly #scope: Scope;
  readonly #nodes = new Map<string, TraceNode>();
  readonly #edges = new Map<string, { cause: string; effect: string }>();
  readonly #unresolved: Unresolved[] = [];
  #truncated = false;

  constructor(plane: Plane, scope: Scope) {
    this.#plane = plane;
    this.#scope = scope;
  }

  async run(place: EventPlace): Promise<Trace> {
    const [root] = await this.#load([place], 0);
    if (root === undefined) {
      throw new MemplaneError('history_expired', 'The event is older than the history kept.', {
        field: 'query.id',
      });
    }
    await this.#causes(root);
    await this.#effects(root);
    const nodes = [...this.#nodes.values()].sort((a, b) => a.distance - b.distance);
    const edges = [...this.#edges.values()];
    const truncated = this.#truncated;
    return { root: root.key, nodes, edges, unresolved: this.#unresolved, truncated };
  }

  /** Upwards: each event names one cause at most. */
  async #causes(root: Found): Promise<void> {
    let effect: Found | undefined = root;
    for (let distance = -1; effect !== undefined; distance--) {
      const { causationid } = effect.event;
      if (causationid === undefined) return;
      const places = await this.#resolve(effect, causationid);
      const [place, other] = places;
      if (place === undefined || other !== undefined) {
        const reason = place === undefined ? 'not_found' : 'ambiguous_id';
        this.#unresolved.push({ effect: effect.key, causationId: causationid, reason });
        return;
      }
      const cause = keyOf(place.entity, parseCause(causationid)?.id ?? causationid);
      this.#link(cause, effect.key);
      if (this.#nodes.has(cause)) return;
      [effect] = await this.#load([place], distance);
    }
  }

  /** Where the cause that an event names may be: one place, none, or several. */
  async #resolve(effect: Found, causationId: string): Promise<EventPlace[]> {
    const cause = parseCause(causationId);
    if (cause === undefined) return [];
    if (cause.entity !== undefined) return this.#find(cause.id, cause.entity);
    const own = await this.#find(cause.id, effect.place.entity);
    return own.length > 0 ? own : this.#find(cause.id, undefined);
  }

  /** The events of an id within the cut, two at most: a second one makes it ambiguous. */
  async #find(id: string, entity: string | undefined): Promise<EventPlace[]> {
    const { tenant, wait } = this.#scope;
    const found = await findEvents(this.#plane, { tenant, id, entity, limit: 2 }, wait);
    return found.filter((place) => this.#isWithin(place));
  }

  #isWithin({ partition, offset }: EventPlace): boolean {
    return offset <= (this.#scope.cut.get(partition) ?? -1);
  }

  /** Downwards, level by level. */
  async #effects(root: Found): Promise<void> {
    let level: Found[] = [root];
    for (let distance = 1; level.length > 0; distance++) {
      const places = new Map<string, EventPlace>();
      for (const cause of level) {
        for (const { place, id } of await this.#effectsOf(cause)) {
          const key = keyOf(place.entity, id);
          this.#link(cause.key, key);
          if (!this.#nodes.has(key)) places.set(key, place);
        }
      }
      level = await this.#load([...places.values()], distance);
    }
    // What was cut off must not leave edges into nowhere.
    for (const [name, { cause, effect }] of this.#edges) {
      if (!this.#nodes.has(cause) || !this.#nodes.has(effect)) this.#edges.delete(name);
    }
  }

  async #effectsOf(cause: Found): Promise<{ place: EventPlace; id: string }[]> {
    const { tenant, wait } = this.#scope;
    const query = {
      tenant,
      causeId: cause.event.id,
      limit: this.#plane.settings.trace_nodes_max + 1,
    };
    const answers = await gather(this.#plane, effectsPart, {
      partitions: allPartitions(this.#plane),
      query: () => query,
      wait,
    });
    if (answers.some(({ truncated }) => truncated)) this.#truncated = true;
    const links = answers
      .flatMap((answer) => answer.links)
      .filter(({ place }) => this.#isWithin(place))
      .sort((a, b) => a.place.partition - b.place.partition);
    const effects: { place: EventPlace; id: string }[] = [];
    for (const { place, id, named } of links) {
      if (await this.#isOf(cause, place, named)) effects.push({ place, id });
    }
    return effects;
  }

  /** Whether a link that names the cause's id means this very cause. */
  async #isOf(cause: Found, effect: EventPlace, named: string): Promise<boolean> {
    if (named !== '') return named === cause.place.entity;
    if (effect.entity === cause.place.entity) return true;
    const { id } = cause.event;
    if ((await this.#find(id, effect.entity)).length > 0) return false;
    return (await this.#find(id, undefined)).length === 1;
  }

  async #load(places: readonly EventPlace[], distance: number): Promise<Found[]> {
    const room = this.#plane.settings.trace_nodes_max - this.#nodes.size;
    if (places.length > room) this.#truncated = true;
    const { tenant, wait } = this.#scope;
    const fitting = places.slice(0, Math.max(0, room));
    const events = await readEvents(this.#plane, { tenant, places: fitting }, wait);
    return events.map(({ place, event }) => {
      const key = keyOf(place.entity, event.id);
      this.#nodes.set(key, nodeOf(key, place, event, distance));
      return { key, place, event };
    });
  }

  #link(cause: string, effect: string): void {
    this.#edges.set(`${cause}\n${effect}`, { cause, effect });
  }
}

interface EffectsQuery {
  readonly tenant: string;
  readonly causeId: string;
  readonly limit: number;
}

interface EffectLinks {
  /** `named`: the entity of the cause, where the effect names it. */
  readonly links: readonly {
    readonly place: EventPlace;
    readonly id: string;
    readonly named: string;
  }[];
  readonly truncated: boolean;
}

/** The events that name an id as their cause. */
const effectsPart: Part<EffectsQuery, EffectLinks> = {
  name: 'effects',
  run: (plane, partitions, { tenant, causeId, limit }) =>
    inSnapshot(plane, async (reader) => {
      let truncated = false;
      const links = await Promise.all(
        partitions.map(async (partition) => {
          const prefix = new ShardKeys(tenant, partition).effects(causeId);
          const rows = await reader.rocks.scanAll({
            gte: toKey(prefix),
            lt: toKey(after(prefix)),
            snapshot: reader.snapshot,
            limit,
            chunkRows: Math.min(limit, 64),
          });
          if (rows.length === limit) truncated = true;
          const { historyStart } = plane.shards.at(partition).record;
          const found = rows.map(({ key, value }) => {
            const [named = '', entity = ''] = key.toString('latin1', prefix.length).split('\x00');
            const offset = offsetAtEnd(key);
            const place = { partition, entity, offset };
            return { place, id: value.toString('utf8', 2), named };
          });
          return found.filter(({ place }) => place.offset >= historyStart);
        }),
      );
      return { links: links.flat(), truncated };
    }),
};

export const TRACE_PARTS = [effectsPart];

function keyOf(entity: string, id: string): string {
  return `${entity}#${id}`;
}

function nodeOf(key: string, place: EventPlace, event: CloudEvent, distance: number): TraceNode {
  return {
    key,
    entity: place.entity,
    id: event.id,
    type: event.type,
    source: event.source,
    time: event.time,
    hlc: event.hlc,
    partition: place.partition,
    offset: place.offset,
    ...(event.correlationid === undefined ? {} : { correlationId: event.correlationid }),
    ...(event.causationid === undefined ? {} : { causationId: event.causationid }),
    distance,
  };
}
