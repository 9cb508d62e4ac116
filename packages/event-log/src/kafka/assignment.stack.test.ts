import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { type KafkaPlan, type ServerProcess, startKafka } from '@memplane/stack';
import { freePorts, TearingProxy } from '@memplane/testkit';
import type { Ownership } from '../assignment.ts';
import { type KafkaGroupAssignment, openKafkaAssignment, openKafkaLog } from './index.ts';
import { Closers, setUp } from './testing.ts';

const PARTITIONS = 6;
const SESSION_MS = 4_000;
const DEADLINE_MS = 40_000;
/** Between two heartbeats, where they are rare. */
const RARE_MS = 10_000;

const closers = new Closers();
let broker: ServerProcess;
let plan: KafkaPlan;
let dir: string;
let proxied: { readonly port: number; readonly advertisedPort: number };

before(async () => {
  dir = mkdtempSync(path.join(tmpdir(), 'memplane-kafka-'));
  const [port = 0, advertisedPort = 0] = await freePorts(2);
  proxied = { port, advertisedPort };
  ({ server: broker, plan } = await startKafka({
    dir,
    proxied,
    properties: {
      'group.consumer.min.session.timeout.ms': '1000',
      'group.consumer.session.timeout.ms': String(SESSION_MS),
      'group.consumer.min.heartbeat.interval.ms': '100',
      'group.consumer.heartbeat.interval.ms': '300',
    },
  }));
});
after(async () => {
  await closers.closeAll();
  await broker?.kill();
  rmSync(dir, { recursive: true, force: true });
});

/** Sees that a partition never has two owners, and that each owner's epoch is higher. */
class Registry {
  readonly holders = new Map<number, string>();
  readonly epochs = new Map<number, number>();
  readonly problems: string[] = [];
  readonly lost: string[] = [];

  take(name: string, owned: readonly Ownership[]): void {
    for (const { partition, epoch } of owned) {
      const other = this.holders.get(partition);
      if (other) this.problems.push(`${partition}: ${name} got it while ${other} had it`);
      const last = this.epochs.get(partition) ?? 0;
      if (epoch <= last) this.problems.push(`${partition}: epoch ${epoch} after ${last}`);
      this.holders.set(partition, name);
      this.epochs.set(partition, epoch);
    }
  }

  give(name: string, owned: readonly Ownership[]): void {
    for (const { partition } of owned) {
      if (this.holders.get(partition) === name) this.holders.delete(partition);
    }
  }

  countOf(name: string): number {
    return [...this.holders.values()].filter((holder) => holder === name).length;
  }
}

async function until(what: string, isSo: () => boolean): Promise<void> {
  const deadline = performance.now() + DEADLINE_MS;
  while (!isSo()) {
    assert.ok(performance.now() < deadline, what);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

interface Group {
  readonly registry: Registry;
  join(
    name: string,
    brokers?: readonly string[],
    memberFile?: string,
  ): Promise<KafkaGroupAssignment>;
}

async function newGroup(settings?: Readonly<Record<string, string>>): Promise<Group> {
  const topic = `log-${randomUUID()}`;
  const groupId = `group-${topic}`;
  const { writer } = await openKafkaLog({
    brokers: plan.brokers,
    topic,
    partitionsInitial: PARTITIONS,
    create: { partitions: PARTITIONS, replicas: 1 },
  });
  await writer.close();
  if (settings !== undefined) {
    await setUp({ brokers: plan.brokers, topic }, 'group', groupId, settings);
  }
  const registry = new Registry();
  return {
    registry,
    async join(name, brokers = plan.brokers, memberFile) {
      const options = {
        ...{ brokers, topic, partitionsInitial: PARTITIONS, groupId, clientId: name },
        ...(memberFile === undefined ? {} : { memberFile }),
      };
      const assignment = closers.add(
        await openKafkaAssignment({ ...options, requestTimeoutMs: 1_000 }),
      );
      await assignment.start({
        onAssigned: (owned) => registry.take(name, owned),
        onRevoked: async (owned) => {
          for (const { partition } of owned) {
            assert.equal(assignment.epochOf(partition), undefined, 'it is no owner any more');
          }
          await new Promise((resolve) => setTimeout(resolve, 100));
          registry.give(name, owned);
        },
        onLost: (owned) => {
          registry.lost.push(name);
          registry.give(name, owned);
        },
      });
      return assignment;
    },
  };
}

describe('ownership by a consumer group', () => {
  test('instances share the partitions, and what one gives back the others get', async () => {
    const { registry, join } = await newGroup();
    const a = await join('a');
    await until('a owns all', () => registry.countOf('a') === PARTITIONS);
    assert.equal(a.sessionTimeoutMs, SESSION_MS);
    assert.equal(a.owned().length, PARTITIONS);
    await a.commit(new Map([[0, 0]]));
    assert.deepEqual(await a.owners(), [{ instance: 'a', partitions: [0, 1, 2, 3, 4, 5] }]);
    const b = await join('b');
    await until('b owns half', () => registry.countOf('b') === PARTITIONS / 2);
    const c = await join('c');
    await until('c owns a third', () => registry.countOf('c') === PARTITIONS / 3);
    await until('all are owned', () => registry.holders.size === PARTITIONS);
    const told = new Map((await c.owners()).map((one) => [one.instance, one.partitions.length]));
    assert.deepEqual(
      new Map([...told].sort()),
      new Map([
        ['a', 2],
        ['b', 2],
        ['c', 2],
      ]),
    );
    for (const { partition, epoch } of c.owned()) {
      assert.equal(c.epochOf(partition), epoch);
      assert.equal(a.epochOf(partition) ?? b.epochOf(partition), undefined);
    }
    await a.close();
    await until('b and c own all', () => registry.holders.size === PARTITIONS);
    await b.close();
    await until('c owns all', () => registry.countOf('c') === PARTITIONS);
    await c.close();
    assert.equal(registry.holders.size, 0);
    assert.deepEqual(registry.problems, []);
    assert.deepEqual(registry.lost, []);
  });

  test('what a member leaves is taken as soon as somebody asks for it, however rare heartbeats are', async () => {
    const { registry, join } = await newGroup({
      'consumer.session.timeout.ms': '45000',
      'consumer.heartbeat.interval.ms': String(RARE_MS),
    });
    const a = await join('a');
    await until('a owns all', () => registry.countOf('a') === PARTITIONS);
    const b = await join('b');
    await until('b owns half', () => registry.countOf('b') === PARTITIONS / 2);
    await a.close();
    const leftAt = performance.now();
    const asking = setInterval(() => void b.owners(), 50);
    await until('b owns all', () => registry.countOf('b') === PARTITIONS);
    clearInterval(asking);
    const tookMs = performance.now() - leftAt;
    assert.ok(tookMs < RARE_MS / 4, `it took ${tookMs} ms`);
    await b.close();
    assert.deepEqual(registry.problems, []);
  });

  test('an owner that hears nothing stops before another one begins, and comes back as new', async () => {
    const proxy = closers.add(await TearingProxy.start(proxied.advertisedPort, proxied.port));
    const { registry, join } = await newGroup();
    const a = await join('a', [`127.0.0.1:${proxied.advertisedPort}`]);
    await until('a owns all', () => registry.countOf('a') === PARTITIONS);
    const b = await join('b');
    await until('b owns half', () => registry.countOf('b') === PARTITIONS / 2);
    await until('all are owned', () => registry.holders.size === PARTITIONS);
    const before = a.memberId;
    proxy.hold();
    const heldAt = performance.now();
    await until('a has stopped', () => a.owned().length === 0);
    assert.ok(performance.now() - heldAt <= SESSION_MS + 500);
    // It owns nothing by the clock; its timer may be a little later.
    await until('a is told', () => registry.lost.length > 0);
    assert.deepEqual(registry.lost, ['a']);
    await until('b owns all', () => registry.countOf('b') === PARTITIONS);
    proxy.release();
    await until('a is back', () => registry.countOf('a') === PARTITIONS / 2);
    assert.notEqual(a.memberId, before);
    await a.close();
    await b.close();
    await proxy.close();
    assert.deepEqual(registry.problems, []);
  });

  test('one that was killed is replaced at once by the next with its folder', async () => {
    const memberFile = path.join(dir, 'member');
    const proxy = closers.add(await TearingProxy.start(proxied.advertisedPort, proxied.port));
    const { registry, join } = await newGroup();
    const a = await join('a', [`127.0.0.1:${proxied.advertisedPort}`], memberFile);
    await until('a owns all', () => registry.countOf('a') === PARTITIONS);
    // The group hears nothing of it any more, and it is nobody's owner: as if it were killed.
    proxy.hold();
    registry.give('a', a.owned());
    const startedAt = performance.now();
    const b = await join('b', plan.brokers, memberFile);
    await until('b owns all', () => registry.countOf('b') === PARTITIONS);
    assert.ok(performance.now() - startedAt < SESSION_MS / 2);
    await until('a has stopped', () => a.owned().length === 0);
    await b.close();
    proxy.release();
    await a.close();
    await proxy.close();
    assert.deepEqual(registry.problems, []);
  });

  test('a broker that is killed: nobody owns what another one owns, and all is owned again', async () => {
    const { registry, join } = await newGroup();
    const [a, b] = [await join('a'), await join('b')];
    const isShared = () =>
      registry.countOf('a') === PARTITIONS / 2 && registry.countOf('b') === PARTITIONS / 2;
    await until('both own half', isShared);
    for (let round = 0; round < 2; round++) {
      await broker.kill();
      await broker.start();
      await until('all are owned again', () => a.owned().length + b.owned().length === PARTITIONS);
      await until('both own half again', isShared);
    }
    await a.close();
    await b.close();
    assert.deepEqual(registry.problems, []);
  });
});
