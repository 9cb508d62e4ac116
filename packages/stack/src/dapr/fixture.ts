import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { TOPICS as NAMES } from '@memplane/contracts';
import { freePorts } from '@memplane/testkit/ports';
import { type DaprdPlan, daprdPlan } from '../server/daprd.ts';
import { etcdPlan, etcdPlans } from '../server/etcd.ts';
import { kafkaPlan } from '../server/kafka.ts';
import type { ServerPlan } from '../server/plan.ts';
import { ServerProcess } from '../server/process.ts';
import { redisPlan } from '../server/redis.ts';
import { sentryPlan } from '../server/sentry.ts';
import { type AppId, secretsFile, stackSecrets } from '../supervisor/secrets.ts';
import { makeTopics, TOPICS } from '../supervisor/topics.ts';

/** What a small application was asked by its sidecar. */
export interface Asked {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: string;
}

/** Kafka, Redis, etcd, the certificate authority; sidecars and small applications on demand. */
export class DaprFixture implements AsyncDisposable {
  readonly dir = mkdtempSync(join(tmpdir(), 'memplane-dapr-'));
  readonly tokens = stackSecrets(this.dir);
  readonly #secrets = secretsFile(this.dir);
  readonly #servers: ServerProcess[] = [];
  readonly #apps: Server[] = [];
  #shared: Pick<Parameters<typeof daprdPlan>[0], 'sentry' | 'servers'> | undefined;
  brokers: readonly string[] = [];
  etcdPorts: readonly number[] = [];

  /**
   * @param properties broker settings beside the usual ones
   * @param etcdMembers one is called `etcd`, several `etcd-1` and so on
   * @param viewsTopic settings of `memory-views` beside the usual ones
   * @param etcdArgs flags of one etcd beside the usual ones
   */
  async start(
    properties: Readonly<Record<string, string>> = {},
    etcdMembers = 1,
    viewsTopic: Readonly<Record<string, string>> = {},
    etcdArgs: readonly string[] = [],
  ): Promise<void> {
    const kafka = await kafkaPlan({ dir: join(this.dir, 'kafka'), properties });
    const redis = await redisPlan({
      dir: join(this.dir, 'redis'),
      password: this.#secrets.values['redis-password'],
    });
    const etcdDir = join(this.dir, 'etcd');
    const etcds =
      etcdMembers === 1
        ? [await etcdPlan({ dir: etcdDir, args: etcdArgs })]
        : await etcdPlans(etcdDir, etcdMembers);
    const sentry = await sentryPlan({ dir: join(this.dir, 'sentry') });
    const started = await Promise.all([kafka, redis, ...etcds, sentry].map(ServerProcess.start));
    this.#servers.push(...started);
    this.brokers = kafka.brokers;
    this.etcdPorts = etcds.map(({ port }) => port);
    const topics = TOPICS.map((topic) =>
      topic.name === NAMES.views
        ? { ...topic, configs: { ...topic.configs, ...viewsTopic } }
        : topic,
    );
    await makeTopics(kafka.brokers, topics);
    this.#shared = {
      sentry,
      servers: {
        kafkaBrokers: kafka.brokers,
        redisPort: redis.port,
        etcdPorts: this.etcdPorts,
        secretsFile: this.#secrets.path,
        namesFile: join(this.dir, 'names.db'),
      },
    };
  }

  /** An application that answers 200 to everything and keeps what it was asked. */
  async app(): Promise<{ readonly port: number; readonly asked: Asked[] }> {
    const asked: Asked[] = [];
    const server = createServer(async (request, response) => {
      const { method = '', url = '', headers } = request;
      const body = await bodyOf(request);
      asked.push({ method, path: url, headers, body });
      response.setHeader('content-type', 'application/json');
      response.end(url === '/dapr/subscribe' ? '[]' : JSON.stringify(taken(body)));
    });
    const [port = 0] = await freePorts(1);
    await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
    this.#apps.push(server);
    return { port, asked };
  }

  /** A sidecar as the stack runs it; `name` tells instances of one application apart. */
  async sidecar(
    appId: AppId,
    appPort?: number,
    name = `${appId}-dapr`,
    httpPort?: number,
    env: Readonly<Record<string, string>> = {},
  ): Promise<DaprdPlan> {
    if (!this.#shared) throw new Error('the fixture is not started');
    const plan = await daprdPlan({
      ...this.#shared,
      dir: this.dir,
      appId,
      name,
      ...(appPort === undefined ? {} : { appPort }),
      ...(httpPort === undefined ? {} : { httpPort }),
      apiToken: this.tokens.apiTokens[appId],
      appToken: this.tokens.appTokens[appId],
      traceSamplingRate: 0,
      env,
    });
    await this.run(plan);
    return plan;
  }

  /** One of the fixture's processes by its name: `kafka`, `redis`, `etcd`, or a sidecar's. */
  server(name: string): ServerProcess {
    const server = this.#servers.find(({ plan }) => plan.name === name);
    if (!server) throw new Error(`there is no ${name}`);
    return server;
  }

  /** A process that ends with the fixture, before what it runs on. */
  async run(plan: ServerPlan): Promise<ServerProcess> {
    const server = await ServerProcess.start(plan);
    this.#servers.push(server);
    return server;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const server of this.#servers.toReversed()) await server.kill();
    for (const app of this.#apps) app.close().closeAllConnections();
    rmSync(this.dir, { recursive: true, force: true });
  }
}

/** That all messages of a delivery were taken, in bulk or not. */
function taken(body: string): unknown {
  const entries = body.startsWith('{') ? JSON.parse(body).entries : undefined;
  if (!Array.isArray(entries)) return { status: 'SUCCESS' };
  return { statuses: entries.map(({ entryId }) => ({ entryId, status: 'SUCCESS' })) };
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part);
  return Buffer.concat(parts).toString('utf8');
}
