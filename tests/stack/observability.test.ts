import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { stackSecrets } from '@memplane/stack';
import { call } from '@memplane/testkit';
import { StackPlane } from './stack-plane.ts';

// The dashboard and the rules ask for what the running services have, and for nothing else.
const ops = fileURLToPath(new URL('../../ops/', import.meta.url));
/** What PromQL itself, or Prometheus about a target, has names for. */
const OTHERS = new Set(['up']);

interface Dashboard {
  readonly panels: readonly {
    readonly id: number;
    readonly title: string;
    readonly targets: readonly { readonly expr: string }[];
  }[];
}

let exposed: Set<string>;
before(async () => {
  exposed = await metricsOf(await StackPlane.connect());
});

test('the dashboard asks for metrics that there are', () => {
  const { panels }: Dashboard = JSON.parse(readFileSync(`${ops}grafana/memplane.json`, 'utf8'));
  assert.ok(panels.length >= 10);
  assert.equal(new Set(panels.map(({ id }) => id)).size, panels.length);
  const expressions = panels.flatMap(({ targets }) => targets.map(({ expr }) => expr));
  assert.deepEqual(unknownIn(expressions), []);
});

test('the rules ask for metrics that there are', () => {
  const rules = readFileSync(`${ops}prometheus/rules.yaml`, 'utf8');
  const expressions = [...rules.matchAll(/^ +expr: (.+)$/gm)].map(([, text = '']) => text);
  const alerts = [...rules.matchAll(/^ +- alert: (\w+)$/gm)].map(([, name]) => name);
  assert.equal(expressions.length, alerts.length);
  assert.ok(alerts.length >= 8);
  assert.equal(new Set(alerts).size, alerts.length);
  assert.deepEqual(unknownIn(expressions), []);
});

test('a metric that is not there is noticed', () => {
  assert.deepEqual(unknownIn(['sum(memplane_view_lagg)']), ['memplane_view_lagg']);
});

function unknownIn(expressions: readonly string[]): string[] {
  const names = expressions.flatMap((text) => {
    const bare = text.replaceAll(/"[^"]*"/g, '').replaceAll(/\b(?:by|without) \([^)]*\)/g, '');
    return [...bare.matchAll(/\b[a-z_]+_[a-z_]+\b|\bup\b/g)].map(([name]) => name);
  });
  const labels = /^(http_response_status_code|http_route|histogram_quantile|__rate_interval)$/;
  const isKnown = (name: string) =>
    labels.test(name) ||
    OTHERS.has(name) ||
    exposed.has(name) ||
    exposed.has(name.replace(/_(bucket|count|sum)$/, ''));
  return names.filter((name) => !isKnown(name));
}

async function metricsOf(plane: StackPlane): Promise<Set<string>> {
  const { appTokens } = stackSecrets(plane.settings.dir);
  const names = new Set<string>();
  for (const { app } of plane.plans.instances) {
    const headers = { 'dapr-api-token': appTokens[app.service] };
    const url = `http://127.0.0.1:${app.port}/metrics`;
    const { text, status } = await call('GET', url, { headers });
    assert.equal(status, 200, url);
    for (const [, name = ''] of text.matchAll(/^# TYPE (\S+)/gm)) names.add(name);
  }
  return names;
}
