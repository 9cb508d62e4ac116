import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { DEFAULT_PARTITIONS } from '@memplane/contracts';
import {
  type ApartNet,
  cutLink,
  droppedBy,
  restoreLink,
  type ServicePlan,
  stackSecrets,
} from '@memplane/stack';
import {
  type Answer,
  call,
  type EntityView,
  entityPath,
  eventually,
  figure,
  forEachAtMost,
  range,
  type Seeded,
} from '@memplane/testkit';
import { type CrashLoad, newEvent } from '../faults/crash-load.ts';
import type { StackPlane } from './stack-plane.ts';

const ASK_TIMEOUT_MS = 5_000;
const MOVED_TIMEOUT_MS = 60_000;
const ASKERS = 4;
const RECENT_REQUESTS = 10;
/** Asked fewer times than this, it was not asked. */
const ANSWERS_MIN = 5;

/**
 * One instance that runs in a network namespace of its own while this is in use. Its link to Kafka can
 * be cut: it lives on, its sidecar and its peers reach it, and nobody tells it that Kafka is away.
 */
export class Apart implements AsyncDisposable {
  readonly #plane: StackPlane;
  readonly #app: ServicePlan;
  readonly #net: ApartNet;
  /** The other instance of the service. */
  readonly #other: ServicePlan;
  #isCut = false;

  private constructor(plane: StackPlane, app: ServicePlan, net: ApartNet, other: ServicePlan) {
    this.#plane = plane;
    this.#app = app;
    this.#net = net;
    this.#other = other;
  }

  static async start(plane: StackPlane, name: string): Promise<Apart> {
    await plane.place([name]);
    const apps = plane.plans.instances.map(({ app }) => app);
    const app = apps.find((one) => one.name === name);
    const other = apps.find((one) => one !== app && one.service === app?.service);
    if (!app?.apart || !other) throw new Error(`${name} is not apart`);
    return new Apart(plane, app, app.apart, other);
  }

  /** Cuts it from Kafka for so long, and asks it all the while; waits until it is back at work. */
  async cutFromKafka(ms: number, load: CrashLoad, random: Seeded): Promise<void> {
    const isOwner = this.#app.service === 'materializer';
    const { pid } = this.#plane.server(this.#app.name);
    if (isOwner) await this.#shared();
    const counts = { done: 0, refused: 0 };
    let stopped = false;
    const ask = () => (isOwner ? this.#read(load, random) : this.#append(load, random));
    const asking = forEachAtMost(ASKERS, Array.from(range(ASKERS)), async () => {
      while (!stopped) counts[await ask()]++;
    });
    try {
      cutLink(this.#net, 'kafka', pid);
      this.#isCut = true;
      await sleep(ms);
      if (isOwner) await this.#moved();
      const dropped = droppedBy(this.#net, 'kafka');
      assert.ok(dropped > 0, 'packets were dropped');
      assert.equal(this.#plane.server(this.#app.name).pid, pid);
    } finally {
      this.#isCut = false;
      restoreLink(this.#net, 'kafka', pid);
      try {
        if (isOwner) await this.#shared();
      } finally {
        stopped = true;
        await asking;
      }
    }
    figure(
      `${this.#app.name} asked while cut`,
      `${counts.done} / ${counts.refused}`,
      '(done / not)',
    );
    assert.ok(counts.done + counts.refused > ANSWERS_MIN, 'it was asked while it was cut');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#plane.place([]);
  }

  /** What the other instance has shown already, this one may not show older, cut or back. */
  async #read(load: CrashLoad, random: Seeded): Promise<'done' | 'refused'> {
    // Of late: an owner that is cut off knows nothing of it.
    const recent = load.answered.slice(-RECENT_REQUESTS);
    if (recent.length === 0) return await sleep(100, 'refused' as const);
    const event = random.pick(random.pick(recent).events);
    const path = entityPath(event.entity);
    const shown = await this.#ask<EntityView>(this.#other, 'GET', path);
    const found = await this.#ask<EntityView>(this.#app, 'GET', path);
    if (shown?.status !== 200 || found === undefined) return 'refused';
    // That there is none is an answer too.
    if (found.status !== 200 && found.status !== 404) return 'refused';
    const before = shown.body.asOf.offset;
    const after = found.status === 200 ? found.body.asOf.offset : -1;
    if (after < before) {
      load.wrong.push(`${this.#app.name} shows ${event.entity} at ${after}, after ${before}`);
    }
    return 'done';
  }

  /** Nothing is acknowledged that can not be in the log. */
  async #append(load: CrashLoad, random: Seeded): Promise<'done' | 'refused'> {
    const event = newEvent(load, random);
    load.ledger.send([event]);
    const wasCut = this.#isCut;
    const answer = await this.#ask(this.#app, 'POST', '/v1/events', event);
    if (answer?.status !== 201) return 'refused';
    if (wasCut && this.#isCut) load.wrong.push(`${event.id} is acknowledged by who is cut off`);
    return 'done';
  }

  /** Both have shards, as between equals. */
  async #shared(): Promise<void> {
    await eventually('both own shards', MOVED_TIMEOUT_MS, async () => {
      const [here, there] = await Promise.all([this.#shards(this.#app), this.#shards(this.#other)]);
      return here > 0 && there > 0 && here + there === DEFAULT_PARTITIONS ? true : undefined;
    });
  }

  /** All shards are the other's. */
  async #moved(): Promise<void> {
    await eventually('the shards have moved', MOVED_TIMEOUT_MS, async () =>
      (await this.#shards(this.#other)) === DEFAULT_PARTITIONS ? true : undefined,
    );
  }

  async #shards(app: ServicePlan): Promise<number> {
    const answer = await this.#ask<{ shards?: number }>(app, 'GET', '/readyz');
    return answer?.body?.shards ?? 0;
  }

  /** Past all sidecars; undefined where no answer came. */
  async #ask<T>(
    app: ServicePlan,
    method: string,
    path: string,
    body?: unknown,
  ): Promise<Answer<T> | undefined> {
    const token = stackSecrets(this.#plane.settings.dir).appTokens[app.service];
    const url = `http://${app.apart?.address ?? '127.0.0.1'}:${app.port}${path}`;
    const options = { headers: { 'dapr-api-token': token }, timeoutMs: ASK_TIMEOUT_MS, body };
    return call<T>(method, url, options).catch(() => undefined);
  }
}
