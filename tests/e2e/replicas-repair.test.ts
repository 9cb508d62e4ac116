import assert from 'node:assert/strict';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { prefixEnd, RocksStore } from '@memplane/rocks';
import { eventually, figure } from '@memplane/testkit';
import { ReplicaProcesses } from './replica-processes.ts';

const IDS = ['a', 'b', 'c'];
const COUNTERS = 50;

interface Report {
  readonly differences: { readonly name: string }[];
  readonly repaired: { readonly name: string; readonly from: readonly string[] }[];
  readonly compared: { readonly replica: string; readonly differences: unknown[] }[];
  readonly digest: string;
  readonly tookMs: number;
}

describe('replicas with a damaged value', () => {
  let replicas: ReplicaProcesses;

  before(async () => {
    replicas = await ReplicaProcesses.start(IDS);
  });
  after(() => replicas.stop());

  const value = async (id: string, name: string) =>
    (await replicas.ask(id, 'GET', `/v1/counters/${name}`)).body['value'];
  const raise = (id: string, name: string, by: number) =>
    replicas.ask(id, 'POST', `/v1/counters/${name}/increments`, { by });
  /** One that a replica has begun by itself goes first. */
  const reconcile = (id: string, body: object) =>
    eventually(`a reconciliation at ${id}`, 10_000, async () => {
      const answer = await replicas.ask(id, 'POST', '/v1/reconciliations', body);
      return answer.status === 429 ? undefined : (answer.body as unknown as Report);
    });

  /** Flips the last bit of a counter's record, while its process is away. */
  async function damage(id: string, name: string): Promise<void> {
    await replicas.end(id, 'SIGTERM');
    const rocks = await RocksStore.open(path.join(replicas.dir, id, 'crdt'));
    const start = Buffer.from('default\0c');
    const rows = await rocks.scanAll({ gte: start, lt: prefixEnd(start) ?? start, limit: 1_000 });
    const row = rows.find(({ key }) => key.toString('latin1') === `default\0c${name}`);
    assert.ok(row);
    const record = Buffer.from(row.value);
    record[record.length - 1] = (record.at(-1) ?? 0) ^ 1;
    const batch = rocks.batch();
    batch.put(row.key, record);
    await rocks.write(batch, { sync: true });
    await rocks.close();
    await replicas.start(id);
    await replicas.allHearAll();
  }

  async function everywhere(name: string, wanted: number): Promise<void> {
    await eventually(`${name} is ${wanted} everywhere`, 10_000, async () => {
      const values = await Promise.all(IDS.map((id) => value(id, name)));
      return values.every((each) => each === wanted) || undefined;
    });
  }

  it('refuse it, and repair it from the others in a reconciliation', async () => {
    for (let index = 0; index < COUNTERS; index++) await raise('a', `n${index}`, index + 1);
    await everywhere(`n${COUNTERS - 1}`, COUNTERS);
    await damage('c', 'n7');
    const read = await replicas.ask('c', 'GET', '/v1/counters/n7');
    assert.deepEqual([read.status, read.body['code']], [503, 'storage_damaged']);
    assert.equal(await value('c', 'n8'), 9);

    const dry = await reconcile('c', { dryRun: true });
    assert.deepEqual(
      dry.differences.map(({ name }) => name),
      ['n7'],
    );
    assert.deepEqual(dry.repaired, []);
    const report = await reconcile('c', {});
    assert.deepEqual(
      report.repaired.map(({ name, from }) => [name, from]),
      [['n7', ['a', 'b']]],
    );
    assert.deepEqual(
      report.compared.map(({ replica, differences }) => [replica, differences]),
      [
        ['a', []],
        ['b', []],
      ],
    );
    assert.equal(await value('c', 'n7'), 8);
    const [alert] = await replicas.alertsAt('c');
    assert.deepEqual([alert?.code, alert?.subject], ['storage_damaged', 'counter/n7']);
    assert.ok(alert?.clearedAt !== undefined);
    await raise('c', 'n7', 1);
    await everywhere('n7', 9);
    figure('a reconciliation of three replicas, 50 values', report.tookMs, 'ms');
  });

  it('repair it by themselves once others write to it', async () => {
    await damage('b', 'n3');
    const startMs = performance.now();
    await raise('a', 'n3', 10);
    await everywhere('n3', 14);
    figure(
      'a damaged value that others write to is well after',
      Math.round(performance.now() - startMs),
      'ms',
    );
    await raise('b', 'n3', 1);
    await everywhere('n3', 15);
    assert.deepEqual((await reconcile('b', {})).differences, []);
  });

  it('compare among themselves at once, and find nothing more', async () => {
    const reports = await Promise.all(IDS.map((id) => reconcile(id, {})));
    assert.equal(new Set(reports.map(({ digest }) => digest)).size, 1);
    for (const { compared } of reports) {
      assert.deepEqual(
        compared.flatMap(({ differences }) => differences),
        [],
      );
    }
  });
});
