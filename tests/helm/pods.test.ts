import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { SERVICES, type ServiceName } from '@memplane/contracts';
import { nodeFlags } from '@memplane/stack';
import { PORT_VARIABLES } from '../../packages/standalone/src/plane/settings.ts';
import { parseZoneFile } from '../../services/event-ingest/src/domain/zones/zone-file.ts';
import {
  chart,
  DISTRIBUTED,
  list,
  NAME,
  named,
  pods,
  type Rendered,
  type Resource,
  render,
  renderFile,
  root,
} from './lib/render.ts';
import { environmentOf, HELPERS, KNOWN, SERVICE_NAMES } from './lib/services.ts';

// What runs in pods is what runs on one machine: commands that are built, settings that services
// know, ports that they listen on, paths that they serve.
const full = renderFile(join(chart, 'ci/full-values.yaml'));
const redis = render(DISTRIBUTED, { 'redis.addresses': ['a:6379', 'b:6379', 'c:6379'] });
const standalone = renderFile(join(chart, 'ci/standalone-values.yaml'));
const all: readonly (readonly [string, Rendered])[] = [
  ['full', full],
  ['with Redis of one’s own', redis],
  ['standalone', standalone],
  ['as it comes', render()],
];
const FIELDS = { 'metadata.name': `${NAME}-crdt-sync-0`, 'status.podIP': '10.1.2.3' };
const KEY = Buffer.alloc(32, 7).toString('base64');

for (const [what, rendered] of all) {
  for (const [component, pod] of pods(rendered)) {
    test(`${what}, ${component}: fulfils the restricted Pod Security Standard`, () => {
      restricted(pod);
    });
  }
  for (const [component, container] of applications(rendered)) {
    test(`${what}, ${component}: each variable is a setting of it, and it takes them all`, () => {
      const env = environmentOf(container, FIELDS, secretOf);
      if (list(container['command']).some((part) => String(part).startsWith('--env-file'))) {
        Object.assign(env, envFileOf(rendered));
      }
      const { names, read } = KNOWN[component];
      const unknown = Object.keys(env).filter((name) => !names.has(name) && !HELPERS.has(name));
      assert.deepEqual(unknown, []);
      for (const [name, value] of Object.entries(env)) assert.doesNotMatch(value, /\$\(/, name);
      const { POD_NAME: _name, POD_IP: _ip, ...own } = env;
      read(own);
    });

    test(`${what}, ${component}: its command is built`, () => {
      const command = list(container['command']).map(String);
      const program = command.find((part) => part.startsWith('/app/dist/'));
      assert.ok(program, command.join(' '));
      assert.ok(existsSync(join(root, program.slice('/app/'.length))), program);
      const runs =
        component === 'standalone'
          ? ['/app/dist/memplane', 'run']
          : ['node', ...nodeFlags(component as ServiceName), program];
      assert.deepEqual(
        command.filter((part) => !part.startsWith('--env-file')),
        runs,
      );
    });

    test(`${what}, ${component}: its ports are those it listens on`, () => {
      const ports = list(container['ports']).map((port) => Number(port['containerPort']));
      assert.deepEqual(new Set(ports), new Set(portsOf(component)));
      const env = environmentOf(container, FIELDS, secretOf);
      for (const [service, variable] of Object.entries(PORT_VARIABLES)) {
        if (service === component) assert.ok(portsOf(component).includes(Number(env[variable])));
      }
      assert.equal(env['MEMPLANE_HOST'], '0.0.0.0');
    });

    test(`${what}, ${component}: probes ask what it serves, and the start has its time`, () => {
      const paths = {
        startupProbe: '/healthz',
        livenessProbe: '/healthz',
        readinessProbe: '/readyz',
      };
      for (const [probe, path] of Object.entries(paths)) {
        const { httpGet, exec } = container[probe]!;
        if (exec !== undefined) {
          // Of several services, all are asked.
          assert.equal(component, 'standalone');
          assert.match(String(list(exec['command']).at(-1)), new RegExp(path));
          continue;
        }
        assert.equal(httpGet!['path'], path);
        named(container['ports'], String(httpGet!['port']));
      }
      const { periodSeconds, failureThreshold } = container['startupProbe']!;
      // As long as the stack on one machine waits.
      assert.ok(Number(periodSeconds) * Number(failureThreshold) >= 120);
    });

    test(`${what}, ${component}: the grace period fits the drain`, () => {
      const env = environmentOf(container, FIELDS, secretOf);
      const pod = pods(rendered).get(component)!;
      const sleep = Number(container['lifecycle']!['preStop']!['sleep']!['seconds']);
      const grace = Number(pod['spec']!['terminationGracePeriodSeconds']);
      // A process ends itself five seconds after the longest drain (packages/runtime/lifecycle.ts).
      const ends = sleep + Number(env['MEMPLANE_DRAIN_TIMEOUT_MS']) / 1_000 + 5;
      assert.ok(grace >= ends + 5, `${grace} s for ${ends} s`);
      assert.ok(grace <= ends + 10, `${grace} s for ${ends} s`);
    });
  }
}

test('a variable that a service does not know would be found', () => {
  assert.ok(!KNOWN['event-ingest'].names.has('MEMPLANE_MATERIALIZER_DIR'));
  assert.throws(() => KNOWN['event-ingest'].read({ MEMPLANE_CLOCK_DRIFT_MS: 'soon' }));
  assert.throws(() => KNOWN.standalone.read({ MEMPLANE_HOST: '0.0.0.0' }), /MEMPLANE_TOKEN/);
  assert.throws(() => KNOWN['crdt-sync'].read({ MEMPLANE_GOSSIP_JOIN: 'a:1' }), /REPLICA_ID/);
});

test('settings of values become variables, as text', () => {
  const env = environmentOf(application(full, 'materializer'), FIELDS, secretOf);
  assert.equal(env['MEMPLANE_HISTORY_RETENTION_MS'], '31536000000');
  assert.equal(env['MEMPLANE_COUNTER_PUBLISHING'], 'true');
});

test('the longest names are short enough for what is made of them', () => {
  const long = 'a'.repeat(60);
  for (const values of [{ fullnameOverride: long }, { nameOverride: long }]) {
    const { resources } = render(DISTRIBUTED, { 'reconciliation.enabled': true }, values);
    for (const { kind, metadata } of resources) {
      // https://kubernetes.io/docs/concepts/overview/working-with-objects/names/, and what
      // controllers add: a hash to a StatefulSet's, a time to a CronJob's.
      const most =
        { StatefulSet: 52, CronJob: 52, Deployment: 52, Service: 63 }[String(kind)] ?? 253;
      assert.ok(String(metadata!['name']).length <= most, `${kind} ${metadata!['name']}`);
      for (const [label, value] of Object.entries(metadata!['labels'] ?? {})) {
        assert.ok(String(value).length <= 63, `${label}: ${value}`);
      }
    }
  }
});

test('without a pause before the end there is no preStop: older clusters refuse one of 0 s', () => {
  const pod = pods(render({ preStopSeconds: 0 })).get('standalone')!['spec']!;
  assert.equal(named(pod['containers'], 'standalone')['lifecycle'], undefined);
  assert.equal(pod['terminationGracePeriodSeconds'] as unknown, 20);
});

test('a time is settled after drift and delivery deadline', () => {
  const values = { 'kafka.deliveryDeadlineMs': 20_000, clockDriftMs: 1_500 };
  const { get } = render(DISTRIBUTED, values);
  const of = (kind: string, name: string) =>
    environmentOf(
      containers(get(kind, `${NAME}-${name}`)['spec']!['template']!)[0]!,
      FIELDS,
      secretOf,
    );
  const ingest = of('Deployment', 'event-ingest');
  const settle = Number(of('StatefulSet', 'materializer')['MEMPLANE_TIME_CUT_SETTLE_MS']);
  assert.equal(ingest['MEMPLANE_KAFKA_DELIVERY_DEADLINE_MS'], '20000');
  assert.ok(settle > 20_000 + Number(ingest['MEMPLANE_CLOCK_DRIFT_MS']));
});

test('replicas of crdt-sync have an id each, all of them in the set', () => {
  const container = application(full, 'crdt-sync');
  const env = environmentOf(container, FIELDS, secretOf);
  const set = env['MEMPLANE_REPLICA_SET']!.split(',');
  assert.deepEqual(
    set,
    [0, 1, 2].map((i) => `${NAME}-crdt-sync-${i}`),
  );
  assert.equal(env['MEMPLANE_REPLICA_ID'], set[0]);
  assert.equal(env['MEMPLANE_GOSSIP_ADVERTISE'], '10.1.2.3:7946');
  const [host = ''] = env['MEMPLANE_GOSSIP_JOIN']!.split('.');
  const service = full.get('Service', host);
  assert.equal(String(service['spec']!['clusterIP']), 'None');
  assert.equal(service['spec']!['publishNotReadyAddresses'] as unknown, true);
});

test('each replica has a Redis beside it, or one of its own elsewhere', () => {
  const beside = full.get('StatefulSet', `${NAME}-crdt-sync`)['spec']!;
  const redisContainer = named(beside['template']!['spec']!['initContainers'], 'redis');
  assert.equal(redisContainer['restartPolicy'] as unknown, 'Always');
  named(redisContainer['volumeMounts'], 'data');
  assert.equal(list(beside['volumeClaimTemplates']).length, 1);
  const conf = String(full.get('ConfigMap', `${NAME}-redis`)['data']!['redis.conf']);
  assert.match(conf, /^appendonly yes$/m);
  assert.match(conf, /^maxmemory-policy noeviction$/m);
  assert.match(conf, /^appendfsync everysec$/m);

  const elsewhere = redis.get('StatefulSet', `${NAME}-crdt-sync`)['spec']!;
  assert.equal(elsewhere['volumeClaimTemplates'], undefined);
  assert.equal(elsewhere['template']!['spec']!['initContainers'], undefined);
  const files = redis.get('ConfigMap', `${NAME}-redis`)['data']!;
  assert.deepEqual(
    { ...files },
    {
      [`${NAME}-crdt-sync-0`]: 'MEMPLANE_REDIS_URL=redis://a:6379\n',
      [`${NAME}-crdt-sync-1`]: 'MEMPLANE_REDIS_URL=redis://b:6379\n',
      [`${NAME}-crdt-sync-2`]: 'MEMPLANE_REDIS_URL=redis://c:6379\n',
    },
  );
  const mount = named(application(redis, 'crdt-sync')['volumeMounts'], 'redis');
  assert.equal(mount['subPathExpr'] as unknown, '$(POD_NAME)');
});

test('every volume that is mounted is there, and every one is mounted, by sidecars too', () => {
  for (const [what, rendered] of all) {
    for (const [component, pod] of pods(rendered)) {
      const volumes = list(pod['spec']!['volumes']).map((volume) => String(volume['name']));
      const owner = [...rendered.resources].find(
        (resource) => resource['spec']?.['template'] === pod,
      );
      volumes.push(
        ...list(owner?.['spec']?.['volumeClaimTemplates']).map((claim) =>
          String(claim['metadata']!['name']),
        ),
      );
      const mounted = containers(pod).flatMap((container) =>
        list(container['volumeMounts']).map((mount) => String(mount['name'])),
      );
      const bySidecar = String(pod['metadata']!['annotations']?.['dapr.io/volume-mounts'] ?? '');
      mounted.push(
        ...bySidecar
          .split(',')
          .filter(Boolean)
          .map((mount) => mount.split(':')[0] ?? ''),
      );
      assert.deepEqual(new Set(mounted), new Set(volumes), `${what}, ${component}`);
    }
  }
});

test('files of zones, master keys and tenants are where the settings of services say', () => {
  const files = (rendered: Rendered, component: string) => {
    const pod = pods(rendered).get(component)!;
    const container = application(rendered, component);
    const env = environmentOf(container, FIELDS, secretOf);
    return Object.fromEntries(
      ['MEMPLANE_ZONES', 'MEMPLANE_SEALING_KEYS', 'MEMPLANE_TENANTS'].flatMap((setting) => {
        const path = env[setting];
        if (path === undefined) return [];
        const [, folder = '', file = ''] = /^(.+)\/([^/]+)$/.exec(path) ?? [];
        const mount = list(container['volumeMounts']).find(
          ({ mountPath }) => String(mountPath) === folder,
        );
        // A part of a volume would never change.
        assert.equal(mount?.['subPath'], undefined);
        const volume = named(pod['spec']!['volumes'], String(mount?.['name']));
        const source = volume['secret']?.['secretName'] ?? volume['configMap']?.['name'];
        const expected = { MEMPLANE_SEALING_KEYS: 'master-keys', MEMPLANE_TENANTS: 'tenants.yaml' };
        if (volume['secret'] === undefined)
          assert.ok(rendered.get('ConfigMap', String(source))['data']![file]);
        else assert.equal(file, expected[setting as keyof typeof expected]);
        return [[setting, String(source)]];
      }),
    );
  };
  const all = {
    MEMPLANE_ZONES: `${NAME}-zones`,
    MEMPLANE_SEALING_KEYS: 'memplane-sealing',
    MEMPLANE_TENANTS: 'memplane-tenants',
  };
  assert.deepEqual(files(full, 'event-ingest'), all);
  assert.deepEqual(files(standalone, 'standalone'), all);
  const { MEMPLANE_TENANTS } = all;
  for (const other of ['materializer', 'crdt-sync', 'vector-index']) {
    assert.deepEqual(files(full, other), { MEMPLANE_TENANTS }, other);
  }
  for (const component of SERVICE_NAMES) assert.deepEqual(files(redis, component), {});
});

test('the rules of zones are a file that event-ingest takes, in their order', () => {
  for (const rendered of [full, standalone]) {
    const rules = parseZoneFile(
      String(rendered.get('ConfigMap', `${NAME}-zones`)['data']!['zones.yaml']),
    );
    assert.deepEqual(rules[0], { match: 'patient/*', consistency: 'eventual', sealed: true });
  }
});

test('event-ingest knows all members of etcd, past its sidecar', () => {
  const env = environmentOf(application(full, 'event-ingest'), FIELDS, secretOf);
  const { value } = named(full.get('Component', 'strong')['spec']!['metadata'], 'endpoints');
  assert.equal(env['MEMPLANE_ETCD_ENDPOINTS'], String(value));
  for (const other of ['materializer', 'crdt-sync', 'vector-index']) {
    const { MEMPLANE_ETCD_ENDPOINTS } = environmentOf(application(full, other), FIELDS, secretOf);
    assert.equal(MEMPLANE_ETCD_ENDPOINTS, undefined, other);
  }
});

test('no pod has a token for the cluster', () => {
  for (const [, rendered] of all) {
    for (const [, pod] of pods(rendered)) {
      assert.equal(pod['spec']!['automountServiceAccountToken'] as unknown, false);
      const account = rendered.get('ServiceAccount', String(pod['spec']!['serviceAccountName']));
      assert.equal(account['automountServiceAccountToken'] as unknown, false);
    }
  }
});

test('the annotations of sidecars are Dapr’s, and say what the command line says on one machine', () => {
  const source = readFileSync(join(root, 'packages/stack/src/server/daprd.ts'), 'utf8');
  for (const [component, pod] of pods(full)) {
    if (!(component in SERVICES)) continue;
    const annotations = pod['metadata']!['annotations']!;
    const port = portsOf(component as ServiceName)[0];
    assert.equal(Number(annotations['dapr.io/app-port']), port);
    assert.equal(String(annotations['dapr.io/app-id']), component);
    full.get('Configuration', String(annotations['dapr.io/config']));
    for (const [flag, annotation] of Object.entries({
      'app-health-check-path': 'app-health-check-path',
      'app-health-probe-interval': 'app-health-probe-interval',
      'app-health-probe-timeout': 'app-health-probe-timeout',
      'app-health-threshold': 'app-health-threshold',
      'max-body-size': 'max-body-size',
      'dapr-graceful-shutdown-seconds': 'graceful-shutdown-seconds',
    })) {
      const [, value] = new RegExp(`'--${flag}', '([^']+)'`).exec(source) ?? [];
      assert.ok(value, flag);
      assert.equal(String(annotations[`dapr.io/${annotation}`]), value);
    }
  }
});

test('tokens of sidecars and applications come from the secrets that the sidecar is told', () => {
  for (const component of SERVICE_NAMES) {
    const annotations = pods(full).get(component)!['metadata']!['annotations']!;
    const env = list(application(full, component)['env']);
    const secretOfEnv = (name: string) =>
      named(env as unknown as Resource, name)['valueFrom']!['secretKeyRef']!;
    for (const [name, annotation] of [
      ['DAPR_API_TOKEN', 'dapr.io/api-token-secret'],
      ['APP_API_TOKEN', 'dapr.io/app-token-secret'],
    ] as const) {
      assert.equal(String(secretOfEnv(name)['name']), String(annotations[annotation]));
      // The key that the injector reads.
      assert.equal(String(secretOfEnv(name)['key']), 'token');
    }
  }
});

function applications(rendered: Rendered): [keyof typeof KNOWN, Resource][] {
  return [...pods(rendered)]
    .filter(([component]) => component in KNOWN)
    .map(([component]) => [component as keyof typeof KNOWN, application(rendered, component)]);
}

function application(rendered: Rendered, component: string): Resource {
  return named(pods(rendered).get(component)!['spec']!['containers'], component);
}

function containers(pod: Resource): Resource[] {
  return [...list(pod['spec']!['initContainers']), ...list(pod['spec']!['containers'])];
}

function portsOf(component: keyof typeof KNOWN): number[] {
  const { port, respPort, gossipPort } = SERVICES['crdt-sync'];
  if (component === 'standalone') {
    return [...Object.values(SERVICES).map((service) => service.port), respPort];
  }
  if (component === 'crdt-sync') return [port, respPort, gossipPort];
  // The peer port's default, of the materializer's own settings.
  return component === 'materializer' ? [7102, 7112] : [SERVICES[component].port];
}

function secretOf(name: string, key: string): string {
  return name.endsWith('-gossip') ? KEY : `${name}/${key}`;
}

function envFileOf(rendered: Rendered): Record<string, string> {
  const files = rendered.get('ConfigMap', `${NAME}-redis`)['data']!;
  const [name = '', value = ''] = String(files[FIELDS['metadata.name']]).trim().split('=');
  return { [name]: value };
}

/** https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted, and a bit more. */
function restricted(pod: Resource): void {
  const spec = pod['spec']!;
  for (const forbidden of ['hostNetwork', 'hostPID', 'hostIPC']) {
    assert.equal(spec[forbidden], undefined);
  }
  const allowed = ['configMap', 'emptyDir', 'secret', 'persistentVolumeClaim', 'projected'];
  for (const volume of list(spec['volumes'])) {
    const type = Object.keys(volume).find((key) => key !== 'name');
    assert.ok(allowed.includes(type ?? ''), type);
  }
  assert.ok(Number(spec['securityContext']!['runAsUser']) > 0);
  for (const container of containers(pod)) {
    const security = container['securityContext'] as unknown as Record<string, unknown>;
    assert.deepEqual(
      { ...security },
      {
        allowPrivilegeEscalation: false,
        readOnlyRootFilesystem: true,
        runAsNonRoot: true,
        capabilities: { drop: ['ALL'] },
        seccompProfile: { type: 'RuntimeDefault' },
      },
    );
    for (const bound of ['requests', 'limits']) {
      for (const what of ['cpu', 'memory']) assert.ok(container['resources']![bound]![what]);
    }
    for (const port of list(container['ports'])) assert.equal(port['hostPort'], undefined);
  }
}
