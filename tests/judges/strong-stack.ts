import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ServiceName } from '@memplane/contracts';
import { type ServerProcess, servicePlan } from '@memplane/stack';
import { DaprFixture } from '@memplane/stack/dapr-fixture';
import { sendAlways } from '@memplane/testkit';
import { freePorts } from '@memplane/testkit/ports';
import { CutWay } from './cut-way.ts';

/** An instance of a service, and the sidecar that it alone talks through. */
export interface StrongInstance {
  readonly url: string;
  readonly app: ServerProcess;
  readonly sidecar: ServerProcess;
  /** From its sidecar to each member of etcd, where they can be cut. */
  readonly ways: readonly CutWay[];
}

export interface StrongStackOptions {
  readonly etcdMembers: number;
  /** Of event-ingest. */
  readonly ingests: number;
  readonly settleMs?: number;
  readonly registrationMs?: number;
  /** The ways of instances of event-ingest to etcd can be cut; they cost a little. */
  readonly cuttable?: boolean;
}

const OPERATOR = 'operator';

/**
 * What strong entities stand on, and no more: Kafka, Redis, etcd, instances of event-ingest and a
 * materializer, each beside its sidecar. `session/*` is strong.
 */
export class StrongStack implements AsyncDisposable {
  readonly fixture = new DaprFixture();
  readonly ingests: StrongInstance[] = [];
  readonly materializers: StrongInstance[] = [];
  readonly headers = { authorization: `Bearer ${OPERATOR}` };

  static async start(options: StrongStackOptions): Promise<StrongStack> {
    const stack = new StrongStack();
    try {
      await stack.#start(options);
      return stack;
    } catch (error) {
      await stack[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Members of etcd. */
  get etcds(): readonly ServerProcess[] {
    const { etcdPorts } = this.fixture;
    if (etcdPorts.length === 1) return [this.fixture.server('etcd')];
    return etcdPorts.map((_, i) => this.fixture.server(`etcd-${i + 1}`));
  }

  /** A sidecar of the agent's; the address of event-ingest behind it. */
  async agent(): Promise<string> {
    const { httpPort } = await this.fixture.sidecar('agent');
    const origin = `http://127.0.0.1:${httpPort}`;
    sendAlways(origin, { 'dapr-api-token': this.fixture.tokens.apiTokens.agent });
    return `${origin}/v1.0/invoke/event-ingest/method`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const way of this.ingests.flatMap(({ ways }) => ways)) way[Symbol.dispose]();
    await this.fixture[Symbol.asyncDispose]();
  }

  async #start(options: StrongStackOptions): Promise<void> {
    const { ingests, etcdMembers, settleMs = 1_500, registrationMs = 10_000 } = options;
    await this.fixture.start({}, etcdMembers);
    const zones = join(this.fixture.dir, 'zones.yaml');
    writeFileSync(zones, 'zones: [{match: "session/*", consistency: strong}]\n');
    const [peers = 0] = await freePorts(1);
    const settings = {
      MEMPLANE_ZONES: zones,
      MEMPLANE_ZONES_POLL_MS: '200',
      MEMPLANE_ZONE_REGISTRATION_MS: String(registrationMs),
      MEMPLANE_STRONG_SETTLE_MS: String(settleMs),
    };
    const names = Array.from({ length: ingests }, (_, i) => `ingest-${i + 1}`);
    const [materializer, ...served] = await Promise.all([
      this.#serve('materializer', 'materializer-1', {
        MEMPLANE_MATERIALIZER_DIR: join(this.fixture.dir, 'views'),
        MEMPLANE_MATERIALIZER_PEER_PORT: String(peers),
        MEMPLANE_TIME_CUT_SETTLE_MS: '11000',
      }),
      ...names.map(async (name) => {
        const ways = options.cuttable ? await this.#ways() : [];
        return this.#serve('event-ingest', name, settings, ways);
      }),
    ]);
    this.materializers.push(materializer);
    this.ingests.push(...served);
  }

  #ways(): Promise<CutWay[]> {
    return Promise.all(this.fixture.etcdPorts.map((port) => CutWay.to(port)));
  }

  /** Service and sidecar wait for each other. */
  async #serve(
    service: ServiceName,
    name: string,
    env: Readonly<Record<string, string>>,
    ways: readonly CutWay[] = [],
  ): Promise<StrongInstance> {
    const { fixture } = this;
    const [port = 0, httpPort = 0] = await freePorts(2);
    const plan = servicePlan({
      ...{ service, name, dir: join(fixture.dir, name), port },
      env: {
        MEMPLANE_KAFKA_BROKERS: fixture.brokers.join(','),
        MEMPLANE_TOKEN: OPERATOR,
        DAPR_HTTP_PORT: String(httpPort),
        DAPR_HTTP_ENDPOINT: `http://127.0.0.1:${httpPort}`,
        DAPR_API_TOKEN: fixture.tokens.apiTokens[service],
        APP_API_TOKEN: fixture.tokens.appTokens[service],
        ...env,
      },
    });
    const etcd = ways.map((way) => `127.0.0.1:${way.port}`).join(',');
    const itsOwn = etcd === '' ? {} : { MEMPLANE_ETCD_ENDPOINTS: etcd };
    const [, app] = await Promise.all([
      fixture.sidecar(service, port, `${name}-dapr`, httpPort, itsOwn),
      fixture.run(plan),
    ]);
    const url = `http://127.0.0.1:${port}`;
    sendAlways(url, this.headers);
    return { url, app, sidecar: fixture.server(`${name}-dapr`), ways };
  }
}
