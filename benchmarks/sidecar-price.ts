/**
 * What the sidecars add to a read at 100 requests a second: through the agent's and the service's,
 * minus the same read straight at the service; against an application that does nothing, behind two
 * sidecars of the same kind on the same servers, with an answer of the same size. Interleaved.
 *
 *     node benchmarks/sidecar-price.ts [rounds] [seconds per run]
 */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { daprdPlan, ServerProcess, secretsFile, stackSecrets } from '@memplane/stack';
import {
  type AppendAnswer,
  call,
  entityPath,
  expectStatus,
  percentile,
  range,
  sendAlways,
} from '@memplane/testkit';
import type { StackPlane } from '../tests/stack/stack-plane.ts';
import { ratio, summarize } from './lib/rounds.ts';
import { atMost, emitRow, SHORT } from './lib/row.ts';
import { directTo, withStack } from './lib/stack.ts';

const [ROUNDS = SHORT ? 1 : 5, SECONDS = SHORT ? 2 : 5] = process.argv.slice(2).map(Number);
const INTERVAL_MS = 10;
const WARM_UP_CALLS = 200;
const ENTITY = 'user/price';
const PATH = entityPath(ENTITY, {});

interface Side {
  readonly name: string;
  /** Asked in turn. */
  readonly urls: readonly string[];
}

/** Answers everything alike, and takes no messages. */
async function startEcho(answer: string): Promise<{ port: number; close: () => void }> {
  const server = createServer((request, response) => {
    response.setHeader('content-type', 'application/json');
    response.end(request.url === '/dapr/subscribe' ? '[]' : answer);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const close = () => void server.close().closeAllConnections();
  return { port: (server.address() as AddressInfo).port, close };
}

/** Two sidecars that find each other, and not those of the stack. */
async function echoSidecars(plane: StackPlane, appPort: number) {
  const { dir } = plane.settings;
  const { exports, kafka, sentry } = plane.plans;
  const { apiTokens, appTokens } = stackSecrets(dir);
  const portOf = (name: string) => Number(exports[name]?.split(':').at(-1));
  const shared = {
    dir: join(dir, 'echo'),
    sentry,
    servers: {
      kafkaBrokers: kafka.brokers,
      redisPort: portOf('MEMPLANE_REDIS_ADDRESS'),
      etcdPorts: [portOf('MEMPLANE_ETCD_ENDPOINTS')],
      secretsFile: secretsFile(dir).path,
      namesFile: join(dir, 'echo', 'names.db'),
    },
  };
  const own = { appId: 'materializer', name: 'echo-dapr', appPort };
  const tokens = { apiToken: apiTokens.materializer, appToken: appTokens.materializer };
  const app = await ServerProcess.start(await daprdPlan({ ...shared, ...own, ...tokens }));
  const caller = await daprdPlan({
    ...{ ...shared, appId: 'agent', name: 'echo-agent-dapr' },
    apiToken: apiTokens.agent,
  });
  const agent = await ServerProcess.start(caller);
  const endpoint = `http://127.0.0.1:${caller.httpPort}`;
  sendAlways(endpoint, { 'dapr-api-token': apiTokens.agent });
  return { url: `${endpoint}/v1.0/invoke/materializer/method`, processes: [agent, app] };
}

/** Asks at a steady pace, however long the answers before take. @returns times in ms */
async function paced({ urls }: Side, calls: number): Promise<number[]> {
  const times: number[] = [];
  const asking: Promise<void>[] = [];
  const started = performance.now();
  for (const n of range(calls)) {
    await setTimeout(Math.max(0, started + n * INTERVAL_MS - performance.now()));
    const began = performance.now();
    const url = urls[n % urls.length] + PATH;
    asking.push(
      call('GET', url).then(({ status, text }) => {
        if (status !== 200) throw new Error(`${url}: ${status} ${text.slice(0, 500)}`);
        times.push(performance.now() - began);
      }),
    );
  }
  await Promise.all(asking);
  return times;
}

type Quantiles = Record<'p50' | 'p99', number[]>;

async function compare(sides: readonly Side[]): Promise<Map<string, Quantiles>> {
  const found = new Map<string, Quantiles>(sides.map(({ name }) => [name, { p50: [], p99: [] }]));
  for (const side of sides) await paced(side, WARM_UP_CALLS);
  for (const round of range(ROUNDS)) {
    for (const side of round % 2 === 0 ? sides : sides.toReversed()) {
      const times = await paced(side, (SECONDS * 1_000) / INTERVAL_MS);
      found.get(side.name)?.p50.push(percentile(times, 0.5));
      found.get(side.name)?.p99.push(percentile(times, 0.99));
    }
  }
  return found;
}

await withStack('price', async (plane) => {
  const body = { id: 'price', type: 'Noted', entity: ENTITY, attributes: { tier: 'gold' } };
  const url = `${plane.ingest}/v1/events`;
  const { token } = await expectStatus<AppendAnswer>(201, 'POST', url, { body });
  const read = plane.materializer + entityPath(ENTITY, { after: token, waitMs: 30_000 });
  await expectStatus(200, 'GET', read);
  const { text } = await call('GET', plane.materializer + PATH);
  const echo = await startEcho(text);
  const { url: echoUrl, processes } = await echoSidecars(plane, echo.port);
  const direct = directTo(plane, 'materializer').map((one) => one.url);
  const found = await compare([
    { name: 'read', urls: [plane.materializer] },
    { name: 'read, direct', urls: direct },
    { name: 'echo', urls: [echoUrl] },
    { name: 'echo, direct', urls: [`http://127.0.0.1:${echo.port}`] },
  ]);
  for (const one of processes) await one.stop();
  echo.close();
  console.table(
    [...found].map(([name, { p50, p99 }]) => ({
      what: name,
      'p50 ms': summarize('', p50).median.toFixed(2),
      'p99 ms': summarize('', p99).median.toFixed(2),
    })),
  );
  for (const quantile of ['p50', 'p99'] as const) {
    const of = (name: string) => found.get(name)?.[quantile] ?? [];
    const added = (name: string) => {
      const without = of(`${name}, direct`);
      return summarize(
        name,
        of(name).map((ms, round) => ms - (without[round] ?? Number.NaN)),
      );
    };
    const [ours, theirs] = [added('read'), added('echo')];
    const ms = `${ours.median.toFixed(2)} ms, echo ${theirs.median.toFixed(2)} ms`;
    console.log(`added ${quantile}: ${ms}`);
    emitRow(
      `two sidecars' price on a read, added ${quantile}`,
      atMost(1.2),
      ratio('', ours, theirs),
      { against: 'a no-op application behind the same', note: `100 requests/s; added ${ms}` },
    );
  }
});
