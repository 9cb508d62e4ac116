import { Agent } from 'node:http';
import {
  type AppendAnswer,
  call,
  expectStatus,
  forEachAtMost,
  type Plane,
  range,
} from '@memplane/testkit';

/** What is written to a plane of the released version, so that every format is in its folder. */
export const STRONG = 'session/guarded';
export const USERS = Array.from({ length: 9 }, (_, i) => `user/${i}`);
export const DIMENSIONS = 16;
/** More elements than a set has without pieces. */
export const LARGE_SET = 300;

export interface Written {
  readonly token: string;
  readonly sessionToken: string;
  readonly fencingToken: number;
  /** An event that can be sent again, and what was answered. */
  readonly repeated: { readonly event: object; readonly accepted: AppendAnswer['accepted'][0] };
  readonly cursor: string;
}

/** A machine with much else to do may let a kept connection time out between two calls. */
const agent = new Agent({ keepAlive: false });

const TOPICS = ['tea in the harbour', 'a cheap hotel', 'the last train north'];
export const REPEATED = { id: 'said-0-0', type: 'Said', entity: 'user/0', attributes: { turn: 0 } };
export const QUERY = { filter: { turn: { $gte: 0 } }, limit: 4 };

const append = (plane: Plane, body: unknown) =>
  expectStatus<AppendAnswer>(201, 'POST', `${plane.ingest}/v1/events`, { body, agent });
const crdt = (plane: Plane, method: string, path: string, body?: unknown) =>
  expectStatus<{ token?: string }>(200, method, `${plane.crdt}${path}`, { body, agent });

/** @param settled waits until all that was appended is in every view */
export async function write(plane: Plane, settled: () => Promise<unknown>): Promise<Written> {
  const [first] = (await append(plane, REPEATED)).accepted;
  if (first === undefined) throw new Error('nothing was accepted');
  for (let turn = 1; turn < 12; turn++) {
    await append(
      plane,
      USERS.map((entity, i) => eventOf(entity, turn, i)),
    );
  }
  const fencingToken = await writeStrong(plane);
  const sessionToken = await writeValues(plane);
  await settled();
  // Of a search, since its token is of all partitions.
  const { token } = await expectStatus<{ token: string }>(
    200,
    'POST',
    `${plane.vectors}/v1/search`,
    { body: { text: 'tea', topK: 1 }, agent },
  );
  const body = { ...QUERY, after: token };
  const url = `${plane.materializer}/v1/query`;
  const { cursor } = await expectStatus<{ cursor: string }>(200, 'POST', url, { body, agent });
  const repeated = { event: REPEATED, accepted: first };
  return { token, sessionToken, fencingToken, repeated, cursor };
}

function eventOf(entity: string, turn: number, i: number): object {
  const values = Array.from({ length: DIMENSIONS }, (_, n) => Math.sin(turn * 7 + i * 3 + n));
  const text = `${TOPICS[(turn + i) % 3]}, ${turn} times`;
  const memories = [
    { id: `m${turn % 4}`, text, metadata: { turn, topic: (turn + i) % 3 } },
    { id: `v${turn % 3}`, text, embedding: { model: 'of-the-agent', values } },
    { id: 'm1', forgotten: true },
    undefined,
  ];
  const memory = memories[(turn + i) % 4];
  return {
    ...{ id: `said-${turn}-${i}`, type: turn === 11 ? 'SessionEnded' : 'Said', entity },
    attributes: { turn, name: `n${i}`, deep: { [`k${turn % 3}`]: turn, gone: null } },
    data: { text: `turn ${turn} of ${entity}` },
    ...(turn > 1 ? { causationId: `said-${turn - 1}-${i}` } : {}),
    ...(memory === undefined ? {} : { memory }),
  };
}

async function writeStrong(plane: Plane): Promise<number> {
  const lease = { holder: 'one', ttlMs: 3_600_000, entities: [STRONG] };
  const url = `${plane.ingest}/v1/leases/planner`;
  const { fencingToken } = await expectStatus<{ fencingToken: number }>(200, 'PUT', url, {
    body: lease,
    agent,
  });
  for (let n = 0; n < 3; n++) {
    const guard = { lease: 'planner', fencingToken, expectedSequence: n };
    const event = { id: `plan-${n}`, type: 'Planned', entity: STRONG, attributes: { step: n } };
    await append(plane, { ...event, ...guard });
  }
  return fencingToken;
}

async function writeValues(plane: Plane): Promise<string> {
  for (const by of [5, 7, -3]) await crdt(plane, 'POST', '/v1/counters/pn/increments', { by });
  const operation = { by: 4, opId: 'the-same' };
  for (const _ of [1, 2]) await crdt(plane, 'POST', '/v1/counters/ids/increments', operation);
  await crdt(plane, 'POST', '/v1/counters/reset/increments', { by: 9 });
  await call('DELETE', `${plane.crdt}/v1/counters/reset`, { agent });
  for (const element of ['red', 'green', 'blue', 'green again']) {
    await crdt(plane, 'POST', '/v1/sets/colours/adds', { element });
  }
  await crdt(plane, 'POST', '/v1/sets/colours/removes', { element: 'green' });
  await forEachAtMost(8, range(LARGE_SET), async (n) => {
    await crdt(plane, 'POST', '/v1/sets/large/adds', { element: `element ${n}` });
  });
  await crdt(plane, 'PUT', '/v1/registers/mode', { value: { level: 3, words: ['ü', null] } });
  const { token } = await crdt(plane, 'PUT', '/v1/flags/ready/votes?token=true');
  return token ?? (await crdt(plane, 'GET', '/v1/counters/pn?token=true')).token ?? '';
}
