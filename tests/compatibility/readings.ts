import { Agent } from 'node:http';
import { call, entityPath, eventually, type Plane } from '@memplane/testkit';
import { QUERY, STRONG, USERS, type Written } from './story.ts';

/** What a plane says, by question: equal in every version that reads the same folder. */
export type Readings = Readonly<Record<string, unknown>>;

/** A machine with much else to do may let a kept connection time out between two calls. */
const agent = new Agent({ keepAlive: false });

/** Of each answer, what is of the moment of asking. */
const OF_THE_MOMENT = new Set(['time', 'timeMs', 'token', 'cursor', 'traceparent']);

export async function readAll(plane: Plane, written: Written): Promise<Readings> {
  const readings: Record<string, unknown> = {};
  const ask = async (name: string, method: string, url: string, body?: unknown) => {
    const answer = await eventually(`${name} is answered with vectors`, 60_000, async () => {
      const given = await call<Partial<Reduced>>(method, url, { body, agent });
      return given.body?.lexicalOnly || given.body?.vectorsPending ? undefined : given;
    });
    readings[name] = { status: answer.status, body: lasting(answer.body) };
  };
  const views = plane.materializer;
  const asOf = `token:${written.token}`;
  for (const entity of [...USERS, STRONG]) {
    await ask(`view ${entity}`, 'GET', views + entityPath(entity, { after: written.token }));
    await ask(`view of the past ${entity}`, 'GET', views + entityPath(entity, { asOf }));
    await ask(`first view ${entity}`, 'GET', views + entityPath(entity, { asOf: 'offset:0' }));
    await ask(`history ${entity}`, 'GET', `${views}/v1/entities/${entity}/history?limit=50`);
  }
  await ask('trace', 'GET', `${views}/v1/trace?entity=user/3&id=said-9-3`);
  await ask('event', 'GET', `${views}/v1/events?entity=user/3&id=said-9-3`);
  await ask('query', 'POST', `${views}/v1/query`, { ...QUERY, asOf });
  await ask('query by cursor', 'POST', `${views}/v1/query`, { ...QUERY, cursor: written.cursor });
  await ask('digest', 'GET', `${views}/v1/digest`);
  await askIndex(ask, `${plane.vectors}/v1/search`, asOf);
  await askValues(ask, plane.crdt, written.sessionToken);
  return readings;
}

/** What a search says while its model is not there yet: then it goes by text alone. */
interface Reduced {
  readonly lexicalOnly: boolean;
  readonly vectorsPending: number;
}

type Ask = (name: string, method: string, url: string, body?: unknown) => Promise<void>;

async function askIndex(ask: Ask, url: string, asOf: string): Promise<void> {
  const vector = Array.from({ length: 16 }, (_, n) => Math.sin(n));
  const searches = {
    text: { text: 'tea and a train', entity: 'user/2', topK: 5 },
    vector: { vector, topK: 8 },
    filtered: { vector, topK: 8, filter: { topic: { $in: [0, 1] } } },
    entities: { vector, topK: 5, filter: { 'entity.name': 'n4' } },
  };
  for (const [name, body] of Object.entries(searches)) {
    await ask(`search by ${name}`, 'POST', url, body);
    await ask(`search of the past by ${name}`, 'POST', url, { ...body, asOf });
  }
}

async function askValues(ask: Ask, url: string, sessionToken: string): Promise<void> {
  for (const path of ['counters/pn', 'counters/ids', 'counters/reset', 'sets/colours']) {
    await ask(path, 'GET', `${url}/v1/${path}?after=${sessionToken}`);
  }
  for (const path of ['sets/large', 'registers/mode', 'flags/ready']) {
    await ask(path, 'GET', `${url}/v1/${path}`);
  }
  for (const name of ['events_total', 'active_sessions']) {
    await ask(`counters/${name}`, 'GET', `${url}/v1/counters/${name}`);
  }
}

function lasting(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(lasting);
  if (typeof value !== 'object' || value === null) return value;
  const kept = Object.entries(value).filter(([name]) => !OF_THE_MOMENT.has(name));
  return Object.fromEntries(kept.map(([name, part]) => [name, lasting(part)]));
}

/** What a newer version says no more, or otherwise: it may say more, in fields of its own. */
export function changed(before: unknown, now: unknown, at = ''): string[] {
  if (typeof before === 'object' && before !== null && typeof now === 'object' && now !== null) {
    if (Array.isArray(before) && Array.isArray(now) && before.length !== now.length) {
      return [`${at}: ${before.length} before, ${now.length} now`];
    }
    return Object.entries(before).flatMap(([name, part]) =>
      changed(part, (now as Record<string, unknown>)[name], `${at}/${name}`),
    );
  }
  return Object.is(before, now)
    ? []
    : [`${at}: ${JSON.stringify(before)} → ${JSON.stringify(now)}`];
}
