import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { PLANE_VERSION } from '@memplane/contracts';
import { parse, stringify } from 'yaml';
import { outdatedChartFiles } from '../../scripts/chart.ts';
import { chart, conform, lint, type Rendered, render, renderFile, root } from './lib/render.ts';
import { schemaFolder } from './lib/schemas.ts';

// What the chart renders for each of its sets of values: what helm and Kubernetes' own schemas say of
// it, and whether it is what it was. `UPDATE=1` takes what is rendered for right.
const sets = readdirSync(join(chart, 'ci')).sort();
const golden = join(root, 'tests/helm/golden');
const renderedSets = new Map<string, Rendered>();

test('what the chart has from elsewhere is up to date', async () => {
  assert.deepEqual(await outdatedChartFiles(), [], 'node scripts/chart.ts');
});

test('the chart has the version of the plane', () => {
  const { version, appVersion } = parse(readFileSync(join(chart, 'Chart.yaml'), 'utf8'));
  assert.equal(version, PLANE_VERSION);
  assert.equal(appVersion, PLANE_VERSION);
});

test('there are six sets of values', () => assert.equal(sets.length, 6));

for (const set of sets) {
  const file = join(chart, 'ci', set);

  test(`${set}: helm lint --strict finds nothing`, () => {
    const { status, stdout, stderr } = lint(file);
    assert.equal(status, 0, stdout + stderr);
  });

  test(`${set}: is what it was`, () => {
    const rendered = renderFile(file);
    renderedSets.set(set, rendered);
    const path = join(golden, set.replace('-values', ''));
    const text = goldenOf(rendered);
    if (process.env['UPDATE'] === '1') {
      mkdirSync(golden, { recursive: true });
      writeFileSync(path, text);
    }
    assert.equal(text, readFileSync(path, 'utf8'), 'if it is meant: UPDATE=1');
  });

  test(`${set}: Kubernetes and its operators know every field`, async () => {
    const { text } = renderedSets.get(set) ?? renderFile(file);
    assert.equal(await conform(text, await schemaFolder()), '');
  });
}

test('a field that there is not, a wrong type and a wrong value are found', async () => {
  const { resources } = render();
  const set = resources.find(({ kind }) => String(kind) === 'StatefulSet');
  const schemas = await schemaFolder();
  const planted: [string, (spec: Planted) => void][] = [
    ['replica', (spec) => Object.assign(spec, { replica: 2 })],
    ['replicas', (spec) => Object.assign(spec, { replicas: 'two' })],
    ['hostNetwrk', (spec) => Object.assign(spec.template.spec, { hostNetwrk: true })],
  ];
  for (const [words, plant] of planted) {
    const copy = structuredClone(set) as unknown as { spec: Planted };
    assert.equal(await conform(stringify(copy), schemas), '');
    plant(copy.spec);
    assert.match(await conform(stringify(copy), schemas), new RegExp(words));
  }
});

test('a wrong field of each operator’s kinds is found', async () => {
  const { resources } = renderFile(join(chart, 'ci/full-values.yaml'));
  const schemas = await schemaFolder();
  const seen = new Set<string>();
  for (const resource of resources) {
    const kind = String(resource['kind']);
    if (!String(resource['apiVersion']).includes('.') || seen.has(kind)) continue;
    const copy = structuredClone(resource) as unknown as { spec?: object };
    if (copy.spec === undefined) continue;
    seen.add(kind);
    Object.assign(copy.spec, { plantedByTheTest: true });
    assert.match(await conform(stringify(copy), schemas), /plantedByTheTest/, kind);
  }
  for (const kind of ['Component', 'Configuration', 'KafkaTopic', 'KafkaUser', 'ScaledObject']) {
    assert.ok(seen.has(kind), kind);
  }
  for (const kind of ['ServiceMonitor', 'PrometheusRule', 'NetworkPolicy', 'Resiliency']) {
    assert.ok(seen.has(kind), kind);
  }
});

interface Planted {
  readonly template: { readonly spec: object };
}

/** Whole files within a resource stand for themselves by their digest. */
function goldenOf({ resources }: Rendered): string {
  const short = (_key: string, value: unknown) =>
    typeof value === 'string' && value.length > 1_000
      ? `sha256:${createHash('sha256').update(value).digest('hex')}`
      : value;
  return resources
    .map((resource) => stringify(JSON.parse(JSON.stringify(resource, short))))
    .join('---\n');
}
