import { type CloudEvent, MemplaneError, type TraceNode } from '@memplane/contracts';
import { parseCause } from '../domain/causation.ts';
import { after, ShardKeys, toKey } from '../domain/keys.ts';
import type { ViewReader } from '../drivers/view-reader.ts';
import {
  type EventPlace,
  type EventRequest,
  findEvent,
  findEvents,
  readEvents,
} from './history.ts';
import { inSnapshot, type Plane } from './plane.ts';

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
 * The causes of an event, theirs, and so on; and its effects and theirs.
 * @throws MemplaneError `not_found`, `ambiguous_id`
 */
export function readTrace(plane: Plane, request: EventRequest): Promise<Trace> {
  return inSnapshot(plane, async (reader) => {
    const place = await findEvent(plane, reader, request);
    const tracer = new Tracer(plane, reader, request.tenant);
    return tracer.run(place);
  });
}

interface Found {
  readonly key: string;
  readonly place: EventPlace;
  readonly event: CloudEvent;
}

class Tracer {
  readonly #plane: Plane;
  readonly #reader: ViewReader;
  readonly #tenant: string;
  readonly #nodes = new Map<string, TraceNode>();
  readonly #edges = new Map<string, { cause: string; effect: string }>();
  readonly #unresolved: Unresolved[] = [];
  #truncated = false;

  constructor(plane: Plane, reader: ViewReader, tenant: string) {
    this.#plane = plane;
    this.#reader = reader;
    this.#tenant = tenant;
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
    const find = (entity: string | undefined) =>
      findEvents(this.#plane, this.#reader, this.#tenant, cause.id, entity, 2);
    if (cause.entity !== undefined) return find(cause.entity);
    const own = await find(effect.place.entity);
    return own.length > 0 ? own : find(undefined);
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
    const found = await Promise.all(
      this.#plane.shards.all().map(async ({ partition }) => {
        const keys = new ShardKeys(this.#tenant, partition);
        const prefix = keys.effects(cause.event.id);
        const limit = this.#plane.settings.trace_nodes_max + 1;
        const rows = await this.#reader.rocks.scanAll({
          gte: toKey(prefix),
          lt: toKey(after(prefix)),
          snapshot: this.#reader.snapshot,
          limit,
          chunkRows: Math.min(limit, 64),
        });
        if (rows.length === limit) this.#truncated = true;
        return rows.map(({ key, value }) => {
          const [named = '', entity = ''] = key.toString('latin1', prefix.length).split('\x00');
          const offset = key.readUIntBE(key.length - 6, 6);
          return { place: { keys, entity, offset }, id: value.toString('utf8', 2), named };
        });
      }),
    );
    const effects: { place: EventPlace; id: string }[] = [];
    for (const { place, id, named } of found.flat()) {
      const { historyStart } = this.#plane.shards.at(place.keys.partition).record;
      if (place.offset < historyStart) continue;
      if (await this.#isOf(cause, place, named)) effects.push({ place, id });
    }
    return effects;
  }

  /** Whether a link that names the cause's id means this very cause. */
  async #isOf(cause: Found, effect: EventPlace, named: string): Promise<boolean> {
    if (named !== '') return named === cause.place.entity;
    if (effect.entity === cause.place.entity) return true;
    const find = (entity: string | undefined) =>
      findEvents(this.#plane, this.#reader, this.#tenant, cause.event.id, entity, 2);
    if ((await find(effect.entity)).length > 0) return false;
    return (await find(undefined)).length === 1;
  }

  async #load(places: readonly EventPlace[], distance: number): Promise<Found[]> {
    const room = this.#plane.settings.trace_nodes_max - this.#nodes.size;
    if (places.length > room) this.#truncated = true;
    const events = await readEvents(this.#reader, places.slice(0, Math.max(0, room)));
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
    partition: place.keys.partition,
    offset: place.offset,
    ...(event.correlationid === undefined ? {} : { correlationId: event.correlationid }),
    ...(event.causationid === undefined ? {} : { causationId: event.causationid }),
    distance,
  };
}
