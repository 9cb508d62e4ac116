import { formatHlc } from '@memplane/clock';
import * as api from '@memplane/contracts';
import {
  type FieldType,
  type Json,
  type MapField,
  type MapPlace,
  mapFields,
  type OrMapState,
  type WritePayload,
} from '@memplane/crdt';
import { ok, type Route, route } from '@memplane/runtime';
import type { Command, CommandType } from '../domain/command.ts';
import { dispatch } from '../domain/dispatch.ts';
import type { Engine } from '../domain/engine.ts';
import type { Ref } from '../domain/port.ts';
import { mergedOverflow } from '../domain/refusals.ts';
import { mapOf } from '../domain/replication/quorum-values.ts';
import type { Consistency } from './consistency.ts';
import { expectValueFits } from './put-register.ts';

/** What all calls on maps need. */
interface Parts {
  readonly engine: Engine;
  readonly consistency: Consistency;
}

export function mapRoutes(engine: Engine, consistency: Consistency): Route[] {
  const parts = { engine, consistency };
  return [
    incrementRoute(parts),
    addRoute(parts),
    removeRoute(parts),
    writeRoute(parts),
    removeFieldRoute(parts),
    getRoute(parts),
    resetRoute(parts),
  ];
}

function incrementRoute({ engine, consistency }: Parts): Route {
  return route(api.incrementMapField, async ({ tenant, params, query, body }) => {
    const ref = { tenant, name: params.name };
    const done = await change(engine, 'map-increment', ref, at('counter', body.path), (command) => {
      command.by = body.by;
    });
    return ok({ value: done.outcome.number, ...(await consistency.written(query, done)) });
  });
}

function addRoute({ engine, consistency }: Parts): Route {
  return route(api.addToMapField, async ({ tenant, params, query, body }) => {
    const place = { ...at('set', body.path), element: body.element };
    const done = await change(engine, 'map-add', { tenant, name: params.name }, place);
    return ok({ added: done.outcome.number > 0, ...(await consistency.written(query, done)) });
  });
}

function removeRoute({ engine, consistency }: Parts): Route {
  return route(api.removeFromMapField, async ({ tenant, params, query, body }) => {
    const place = { ...at('set', body.path), element: body.element };
    const done = await change(engine, 'map-remove', { tenant, name: params.name }, place);
    return ok({ removed: done.outcome.number > 0, ...(await consistency.written(query, done)) });
  });
}

function writeRoute({ engine, consistency }: Parts): Route {
  return route(api.writeMapField, async ({ tenant, params, query, body }) => {
    expectValueFits(body.value);
    const ref = { tenant, name: params.name };
    const done = await change(engine, 'map-write', ref, at('register', body.path), (command) => {
      command.value = body.value as Json;
    });
    const shown = showWrite(done.outcome.value as WritePayload);
    return ok({ ...shown, ...(await consistency.written(query, done)) });
  });
}

function removeFieldRoute({ engine, consistency }: Parts): Route {
  return route(api.removeMapField, async ({ tenant, params, query, body }) => {
    const ref = { tenant, name: params.name };
    const done = await change(engine, 'map-remove', ref, at(body.type, body.path));
    return ok({ removed: done.outcome.number > 0, ...(await consistency.written(query, done)) });
  });
}

function getRoute({ engine, consistency }: Parts): Route {
  return route(api.getMap, ({ tenant, params, query, signal }) => {
    const ref = { tenant, name: params.name };
    return consistency.answer(query, signal, {
      local: async () => {
        const { outcome } = await dispatch(engine, 'map-get', ref);
        return showMap(outcome.value as OrMapState);
      },
      quorum: { ref, of: (state) => showMap(mapOf(state, ref)) },
    });
  });
}

function resetRoute({ engine, consistency }: Parts): Route {
  return route(api.resetMap, async ({ tenant, params, query }) => {
    const done = await dispatch(engine, 'map-reset', { tenant, name: params.name });
    return ok({ reset: done.outcome.number > 0, ...(await consistency.written(query, done)) });
  });
}

function at(type: FieldType, path: readonly string[]): MapPlace {
  return { type, path };
}

function change(
  engine: Engine,
  type: CommandType,
  ref: Ref,
  place: MapPlace,
  fill?: (command: Command) => void,
): Promise<Command> {
  return dispatch(engine, type, ref, (command) => {
    command.place = place;
    fill?.(command);
  });
}

function showMap(state: OrMapState): object {
  return { fields: mapFields(state).map(showField) };
}

/** @throws MemplaneError `counter_overflow` */
function showField(field: MapField): object {
  const { type, path } = field;
  if (type === 'set') return { type, path, elements: field.elements };
  if (type === 'register') return { type, path, ...showWrite(field.write) };
  const value = Number(field.value);
  if (!Number.isSafeInteger(value)) throw mergedOverflow();
  return { type, path, value };
}

function showWrite({ value, hlc, replica }: WritePayload): object {
  return { value, hlc: formatHlc(hlc), replica };
}
