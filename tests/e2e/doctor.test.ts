import assert from 'node:assert/strict';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { PLANE_VERSION } from '@memplane/contracts';
import { partitionOf } from '@memplane/event-log';
import { RocksStore } from '@memplane/rocks';
import {
  type Alteration,
  AlteringProxy,
  expectStatus,
  type PassingAnswer,
  Plane,
  type PlanePorts,
  planeDigests,
  portsInRow,
  runCommand,
  ScratchFolder,
  SERVICE_NAMES,
  sendAlways,
} from '@memplane/testkit';
import type { Manifest } from '../../packages/standalone/src/backup/manifest.ts';
import { viewDigests } from '../../packages/standalone/src/backup/plane-reads.ts';
import { roomFindings } from '../../packages/standalone/src/doctor/checks/disk.ts';
import { CHECKS, diagnose } from '../../packages/standalone/src/doctor/doctor.ts';
import {
  type DoctorSettings,
  PlaneState,
} from '../../packages/standalone/src/doctor/plane-state.ts';
import { PlaneHttp } from '../../packages/standalone/src/operate/plane-http.ts';
import { type Comparison, verify } from '../../packages/standalone/src/verify/verify.ts';

const TOKEN = 'a-token-of-the-test';
const SETTINGS: DoctorSettings = {
  sample_entities: 3,
  lag_events_max: 1_000,
  archive_lag_bytes_max: 1_000_000,
  dataDir: '/no/such/folder',
  version: PLANE_VERSION,
};
const MINUTES_MS = 60_000;

const change = (alter: (body: PassingAnswer['body']) => void): Alteration => {
  return (answer) => {
    alter(answer.body);
    return undefined;
  };
};
const dated = (deltaMs: number): Alteration => {
  return ({ headers }) => {
    headers['date'] = new Date(Date.now() + deltaMs).toUTCString();
    return undefined;
  };
};
const withStatus = (status: number): Alteration => {
  return (answer) => {
    answer.status = status;
    return undefined;
  };
};

interface Fault {
  readonly code: string;
  readonly check: string;
  readonly about: string | RegExp;
  /** By `service /path`. */
  readonly alter: Readonly<Record<string, Alteration>>;
  readonly settings?: Partial<DoctorSettings>;
}

const SHARDS = 'materializer /v1/shards';
const INDEX = 'vector-index /v1/index';
const INGEST_READY = 'event-ingest /readyz';
const MEMBERS = 'crdt-sync /v1/members';

const member = (replica: string, state: string) => ({
  ...{ replica, state, self: false, replicaSet: true, viewVersion: 3, incarnation: 'f00d' },
  heardMs: 9_000,
});

/** Each finding that there is, and an answer of the plane that must lead to it. */
const FAULTS: readonly Fault[] = [
  {
    code: 'service_unreachable',
    check: 'services',
    about: 'crdt-sync',
    alter: { 'crdt-sync /readyz': () => 'break' },
  },
  {
    code: 'service_not_ready',
    check: 'services',
    about: 'vector-index',
    alter: { 'vector-index /readyz': withStatus(503) },
  },
  {
    code: 'token_forbidden',
    check: 'permission',
    about: 'materializer',
    alter: { [SHARDS]: withStatus(403) },
  },
  {
    code: 'versions_differ',
    check: 'versions',
    about: 'services',
    alter: {
      'crdt-sync /openapi.json': change((body) => {
        body.info.version = '0.0.9';
      }),
    },
  },
  {
    code: 'command_version_differs',
    check: 'versions',
    about: 'memplane',
    alter: {},
    settings: { version: '0.0.9' },
  },
  ...(['damaged', 'paused'] as const).map((state) => ({
    code: `shard_${state}`,
    check: 'storage',
    about: 'shard 5',
    alter: {
      [SHARDS]: change((body) => {
        Object.assign(body.shards[5], { state, problem: 'offset 17' });
      }),
    },
  })),
  {
    code: 'log_storage',
    check: 'storage',
    about: 'event-ingest',
    alter: {
      [INGEST_READY]: change((body) => {
        body.storage = 'storage_full';
      }),
    },
  },
  {
    code: 'log_stalled',
    check: 'storage',
    about: 'event-ingest',
    alter: {
      [INGEST_READY]: change((body) => {
        body.logStalled = true;
      }),
    },
  },
  {
    code: 'crdt_storage',
    check: 'storage',
    about: 'crdt-sync',
    alter: {
      'crdt-sync /readyz': change((body) => {
        body.storage = 'storage_full';
      }),
    },
  },
  {
    code: 'index_problem',
    check: 'storage',
    about: 'vector-index',
    alter: {
      [INDEX]: change((body) => {
        body.problem = 'the disk of the index is full';
      }),
    },
  },
  {
    code: 'shard_lagging',
    check: 'lag',
    about: 'shard 2',
    alter: {
      [SHARDS]: change((body) => {
        body.shards[2].lag = 5_000;
      }),
    },
  },
  {
    code: 'index_lagging',
    check: 'lag',
    about: 'index of partition 3',
    alter: {
      [SHARDS]: change((body) => {
        body.shards[3].appliedOffset += 2_000;
      }),
    },
  },
  {
    code: 'index_other_log',
    check: 'lag',
    about: 'vector-index',
    alter: {
      [INDEX]: change((body) => {
        body.logId = '0c7a4d0e-6f2b-4c59-9d3e-5a1b2c3d4e5f';
      }),
    },
  },
  {
    code: 'archive_behind',
    check: 'archive',
    about: 'archive',
    alter: {
      [INGEST_READY]: change((body) => {
        body.archiveBehind = true;
      }),
    },
  },
  {
    code: 'archive_lagging',
    check: 'archive',
    about: 'archive',
    alter: {
      'materializer /readyz': change((body) => {
        body.archiveLagBytes = 600_000;
      }),
    },
  },
  {
    code: 'clock_skew',
    check: 'clocks',
    about: 'materializer',
    alter: { 'materializer /readyz': dated(-2 * MINUTES_MS) },
  },
  {
    code: 'clock_skew',
    check: 'clocks',
    about: 'crdt-sync',
    alter: { 'crdt-sync /readyz': dated(5_000) },
  },
  {
    code: 'clock_ahead',
    check: 'clocks',
    about: 'event-ingest',
    alter: {
      [INGEST_READY]: change((body) => {
        body.clockAheadMs = 30_000;
      }),
    },
  },
  {
    code: 'replica_not_heard',
    check: 'members',
    about: 'b',
    alter: {
      [MEMBERS]: change((body) => {
        body.members.push(member('b', 'suspect'));
      }),
    },
  },
  {
    code: 'no_quorum',
    check: 'members',
    about: 'replicas',
    alter: {
      [MEMBERS]: change((body) => {
        body.quorum = 2;
      }),
    },
  },
  {
    code: 'shard_without_owner',
    check: 'members',
    about: 'shards 1, 4',
    alter: {
      [SHARDS]: change((body) => {
        body.moving = [1, 4];
      }),
    },
  },
  {
    code: 'alert_open',
    check: 'alerts',
    about: 'partition a,b',
    alter: {
      'crdt-sync /v1/alerts': change((body) => {
        const time = '2026-11-26T12:00:00.000Z';
        const [code, subject, detail] = ['partition', 'a,b', '{a} | {b}'];
        body.alerts.push({ time, code, subject, detail, count: 2 });
        body.alerts.push({ time, code: 'old', detail, count: 1, clearedAt: time });
      }),
    },
  },
  {
    code: 'view_differs',
    check: 'consistency',
    about: 'user/1',
    alter: {
      'materializer /v1/entities/user/1': change((body) => {
        body.attributes.turn = -1;
      }),
    },
  },
  {
    code: 'index_differs',
    check: 'consistency',
    about: /^user\/\d#m$/,
    alter: {
      'vector-index /v1/search': change((body) => {
        body.results = [];
      }),
    },
  },
];

describe('memplane doctor and verify', () => {
  const folder = new ScratchFolder('doctor');
  const dataDir = path.join(folder.path, 'data');
  let ports: PlanePorts;
  let plane: Plane;
  let proxy: AlteringProxy;

  before(async () => {
    const own = await portsInRow();
    plane = await Plane.start({ dataDir, ports: own, env: { MEMPLANE_TOKEN: TOKEN } });
    for (const service of SERVICE_NAMES) sendAlways(plane.url(service), headers);
    ports = await portsInRow();
    proxy = await AlteringProxy.start(plane, ports);
    for (let n = 0; n < 10; n++) {
      const events = [0, 1, 2].map((i) => ({
        id: `e${n}`,
        type: 'Said',
        entity: `user/${i}`,
        attributes: { turn: n, who: i },
        ...(n === 4 ? { memory: { id: 'm', text: `likes green tea, cup ${i}` } } : {}),
      }));
      await expectStatus(201, 'POST', `${plane.ingest}/v1/events`, { body: events });
    }
    await settled();
  });
  after(async () => {
    await proxy[Symbol.asyncDispose]();
    await plane[Symbol.asyncDispose]();
    folder[Symbol.dispose]();
  });

  const headers = { authorization: `Bearer ${TOKEN}` };
  const settled = () => planeDigests(plane);
  const http = (token: string = TOKEN) =>
    new PlaneHttp({
      url: `http://127.0.0.1:${ports['event-ingest']}`,
      token,
      idleTimeoutMs: 10_000,
    });
  const findings = async (
    check: string,
    settings: Partial<DoctorSettings> = {},
    token?: string,
  ) => {
    const state = new PlaneState(http(token), { ...SETTINGS, ...settings }, Date.now);
    const diagnosis = await diagnose(
      state,
      CHECKS.filter(({ name }) => name === check),
    );
    const [result] = diagnosis.checks;
    assert.ok(result, check);
    assert.notEqual(result.outcome, 'not checked', result.reason);
    return result.findings;
  };

  test('a plane that is well has no findings', async () => {
    for (const { name } of CHECKS) {
      assert.deepEqual(await findings(name, { sample_entities: 50 }), [], name);
    }
  });

  for (const { code, check, about, alter, settings } of FAULTS) {
    test(`${code} is found (${about})`, async () => {
      for (const [path, alteration] of Object.entries(alter)) {
        proxy.alterations.set(path, alteration);
      }
      const found = await findings(check, settings).finally(() => proxy.alterations.clear());
      const matching = found.filter((finding) => finding.code === code);
      const words = JSON.stringify(found);
      assert.ok(matching.length > 0, words);
      assert.equal(found.length, matching.length, words);
      for (const finding of matching) {
        if (typeof about === 'string') assert.equal(finding.about, about);
        else assert.match(finding.about, about);
        assert.ok(finding.advice.length > 20 && finding.detail.length > 0, words);
      }
    });
  }

  test('a wrong token is refused by every service', async () => {
    const found = await findings('permission', {}, 'another-token');
    assert.deepEqual(
      found.map(({ code, about }) => `${code} ${about}`),
      ['event-ingest', 'materializer', 'crdt-sync', 'vector-index'].map(
        (it) => `token_refused ${it}`,
      ),
    );
  });

  test('a disk is nearly full at a tenth, and at a gibibyte', () => {
    const GIB = 1024 ** 3;
    const severity = (free: number, total: number) =>
      roomFindings('/data', free, total).map((finding) => finding.severity);
    assert.deepEqual(severity(50 * GIB, 100 * GIB), []);
    assert.deepEqual(severity(9 * GIB, 100 * GIB), ['warning']);
    assert.deepEqual(severity(GIB - 1, 2 * GIB), ['warning']);
    assert.deepEqual(severity(GIB, 100 * GIB), ['error']);
    assert.deepEqual(severity(GIB / 10, GIB / 5), ['error']);
  });

  test('the command tells people and programs, and ends with a code for scripts', async () => {
    const url = `http://127.0.0.1:${ports['event-ingest']}`;
    const env = { MEMPLANE_TOKEN: TOKEN };
    const run = (...args: string[]) => runCommand(args, { url, env });
    const elsewhere = ['--data-dir', '/no/such/folder'];
    const fine = await run('doctor', '--json', ...elsewhere);
    assert.equal(fine.code, 0, fine.stdout + fine.stderr);
    const { checks } = JSON.parse(fine.stdout) as { checks: { check: string; outcome: string }[] };
    assert.deepEqual(
      checks.map(({ check }) => check),
      CHECKS.map(({ name }) => name),
    );
    assert.equal(checks.find(({ check }) => check === 'disk')?.outcome, 'not here');

    proxy.alterations.set(
      INDEX,
      FAULTS.find(({ code }) => code === 'index_problem')?.alter[INDEX] ?? (() => 'break'),
    );
    const found = await run('doctor', ...elsewhere);
    proxy.alterations.clear();
    assert.equal(found.code, 1);
    assert.match(found.stdout, /^storage\tfindings\tindex_problem$/m);
    assert.match(
      found.stdout,
      /^index_problem\terror\tvector-index\tthe disk of the index is full\t/m,
    );

    proxy.alterations.set('crdt-sync /v1/alerts', () => 'break');
    const unchecked = await run('doctor', ...elsewhere);
    proxy.alterations.clear();
    assert.equal(unchecked.code, 2);
    assert.match(unchecked.stdout, /^alerts\tnot checked\t/m);

    const away = await runCommand(['doctor', ...elsewhere], { url: 'http://127.0.0.1:9' });
    assert.equal(away.code, 2);
  });

  const compared = (manifest?: Manifest) =>
    verify({
      plane: http(),
      manifest,
      startTimeoutMs: 10_000,
      stages: { begin: () => {}, add: () => {} },
    });
  const outcomes = (comparisons: readonly Comparison[], what: Comparison['what']) =>
    comparisons.filter((it) => it.what === what && it.outcome !== 'equal');

  test('verify says that all is equal, and where an index differs', async () => {
    const all = await compared();
    assert.deepEqual(
      all.filter(({ outcome }) => outcome !== 'equal'),
      [],
    );
    assert.ok(all.length >= 3);
    proxy.alterations.set(
      INDEX,
      change((body) => {
        body.generations[0].partitions[7].digest = '0123456789abcdef';
      }),
    );
    const different = outcomes(await compared(), 'index and log');
    proxy.alterations.clear();
    assert.deepEqual(
      different.map(({ about, outcome }) => [about, outcome]),
      [['partition 7', 'different']],
    );
  });

  test('one digit that is other in the store of the views is found, by both', async () => {
    const views = await viewDigests(http());
    const offsets = views.shards.map(({ appliedOffset }) => appliedOffset);
    const manifest = { views, cut: { offsets } } as unknown as Manifest;
    assert.deepEqual(outcomes(await compared(manifest), 'views and backup'), []);
    assert.equal((await plane.stop()).code, 0);
    await changeView(path.join(dataDir, 'views'));
    plane = await plane.again();
    await proxy[Symbol.asyncDispose]();
    proxy = await AlteringProxy.start(plane, ports);
    await settled();
    const comparisons = await compared(manifest);
    const different = (what: Comparison['what']) =>
      outcomes(comparisons, what).map(({ about, outcome }) => [about, outcome]);
    assert.deepEqual(different('views and log'), [['user/2', 'different']]);
    const shard = `shard ${partitionOf('user/2', offsets.length)}`;
    assert.deepEqual(different('views and backup'), [[shard, 'different']]);
    const found = await findings('consistency', { sample_entities: 50 });
    assert.deepEqual(
      found.map(({ code, about }) => [code, about]),
      [['view_differs', 'user/2']],
    );
  });
});

/** Changes an attribute of `user/2` in its stored head, and nothing else. */
async function changeView(dir: string): Promise<void> {
  const store = await RocksStore.open(dir);
  try {
    let changed = 0;
    for await (const rows of store.scan({})) {
      for (const { key, value } of rows) {
        const at = value.indexOf('"turn":9,"who":2');
        const isHead = at >= 0 && value.length < 200 && key.includes('user/2');
        if (!isHead) continue;
        const other = Buffer.from(value);
        other.write('8', at + '"turn":'.length);
        await store.write(store.batch().put(Buffer.from(key), other));
        changed++;
      }
    }
    assert.ok(changed > 0, 'no head of user/2 was found');
  } finally {
    await store.close();
  }
}
