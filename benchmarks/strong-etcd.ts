/**
 * Strong appends on etcd, the write of the log included, against raw puts of events of the same size
 * by etcd's own client: 64 clients, each on an entity (a key) of its own. Event-ingest is asked
 * itself, and through the sidecars of agent and service. One member, one broker; interleaved.
 *
 *     node benchmarks/strong-etcd.ts [rounds] [ms per run]
 */
import { call, eventually, forEachAtMost, range } from '@memplane/testkit';
import { StrongStack } from '../tests/judges/strong-stack.ts';
import { etcdRate } from './lib/etcd.ts';
import { EventBatch } from './lib/event-bodies.ts';
import { LoadThread } from './lib/load-thread.ts';
import { interleave, ratio } from './lib/rounds.ts';
import { atLeast, emitRow, SHORT } from './lib/row.ts';

const [ROUNDS = SHORT ? 1 : 5, RUN_MS = SHORT ? 500 : 3_000] = process.argv.slice(2).map(Number);
const CLIENTS = 64;
const WARM_UP_CLIENTS = 8;
const WARM_UP_TIMEOUT_MS = 60_000;
const bytes = new EventBatch(1, 1, 0, { single: true, kind: 'session' }).bytes.length;

await using stack = await StrongStack.start({ etcdMembers: 1, ingests: 1 });
const agent = new URL(await stack.agent());
const direct = new URL(stack.ingests[0]?.url ?? '');
const single = { events_per_request: 1, ownEntity: true, entities: CLIENTS, kind: 'session' };
const load = new LoadThread(single);

// The first append of an entity makes its head, which takes longer.
await forEachAtMost(WARM_UP_CLIENTS, range(CLIENTS), async (n) => {
  const entity = `session/${String(n).padStart(12, '0')}`;
  const body = { id: 'first', type: 'Opened', entity };
  await eventually(`a head of ${entity}`, WARM_UP_TIMEOUT_MS, async () => {
    const { status } = await call('POST', `${stack.ingests[0]?.url}/v1/events`, { body });
    return status === 201 ? true : undefined;
  });
});

/** @returns appends per second */
async function appendRate(to: URL, headers: Readonly<Record<string, string>>): Promise<number> {
  const { events, elapsedMs } = await load.run({
    ...{ port: Number(to.port), headers, connections: CLIENTS, durationMs: RUN_MS },
    path: `${to.pathname === '/' ? '' : to.pathname}/v1/events`,
  });
  return (events / elapsedMs) * 1_000;
}

const endpoints = stack.fixture.etcdPorts.map((port) => `127.0.0.1:${port}`);
const token = { 'dapr-api-token': stack.fixture.tokens.apiTokens.agent };
const measured = await interleave(
  [
    { name: 'strong appends', run: () => appendRate(direct, stack.headers) },
    { name: 'strong appends, through sidecars', run: () => appendRate(agent, token) },
    {
      name: 'raw etcd puts',
      run: () => etcdRate({ endpoints, do: 'put', clients: CLIENTS, bytes, durationMs: RUN_MS }),
    },
  ],
  ROUNDS,
);
await load.end();
console.table(
  measured.map(({ name, median, spread }) => ({
    what: name,
    'a second': Math.round(median),
    spread: `${Math.round(spread * 100)} %`,
  })),
);
const [ours, invoked, puts] = measured;
if (ours && invoked && puts) {
  const about = { against: puts.name, seeds: 'events by their number' };
  const on = `etcd, ${CLIENTS} clients on ${CLIENTS} entities, ${bytes} B`;
  const note = `${Math.round(ours.median)} appends/s, ${Math.round(puts.median)} puts/s`;
  emitRow(`strong appends, ${on}`, atLeast(0.5), ratio('', ours, puts), { ...about, note });
  const through = `the same, through sidecars of agent and service`;
  emitRow(through, atLeast(0.2), ratio('', invoked, puts), {
    ...about,
    note: `${Math.round(invoked.median)} appends/s`,
  });
}
