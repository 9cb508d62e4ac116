import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { before, test } from 'node:test';
import {
  type AppendAnswer,
  call,
  clusteredVectors,
  eventually,
  expectStatus,
  nextAsBase64,
} from '@memplane/testkit';
import { StackPlane } from './stack-plane.ts';

// One trace through it all, as a collector has it: sidecars, services, log, views, index, Milvus.
interface Span {
  readonly service: string;
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly name: string;
}

interface Exported {
  readonly resourceSpans?: readonly {
    readonly resource: {
      readonly attributes?: readonly { key: string; value: { stringValue?: string } }[];
    };
    readonly scopeSpans: readonly { readonly spans: readonly Omit<Span, 'service'>[] }[];
  }[];
}

/** What has to be in the trace: by service, the name of a span. */
const WANTED: readonly (readonly [string, RegExp])[] = [
  ['agent', /event-ingest/],
  ['event-ingest', /^POST \/v1\/events$/],
  ['materializer', /^apply$/],
  ['vector-index', /^index$/],
  // Until Milvus has it for certain.
  ['vector-index', /^store vector$/],
];

let plane: StackPlane;
let spansFile: string;
before(async () => {
  plane = await StackPlane.connect();
  spansFile = process.env['MEMPLANE_STACK_SPANS'] ?? '';
  assert.ok(existsSync(spansFile), 'MEMPLANE_STACK_SPANS names the file of the collector');
});

test('one trace goes from the sidecar to the log, the views, the index and Milvus, all linked', async () => {
  const traceId = randomBytes(16).toString('hex');
  const caller = randomBytes(8).toString('hex');
  const entity = `user/trace-${traceId.slice(0, 8)}`;
  const embedding = { model: 'trace', values: nextAsBase64(clusteredVectors({ seed: 17 })) };
  const { token } = await expectStatus<AppendAnswer>(201, 'POST', `${plane.ingest}/v1/events`, {
    headers: { traceparent: `00-${traceId}-${caller}-01` },
    body: { type: 'T', entity, memory: { id: 'm', text: 'a lantern in the dark', embedding } },
  });
  await eventually('the search shows it', 30_000, async () => {
    const body = { text: 'lantern', entity, topK: 1, after: token };
    const answer = await call('POST', `${plane.vectors}/v1/search`, { body });
    return answer.status === 200 ? true : undefined;
  });
  const unlinkedOf = (spans: readonly Span[]) => {
    const ids = new Set([caller, ...spans.map(({ spanId }) => spanId)]);
    return spans.filter(({ parentSpanId }) => !ids.has(parentSpanId ?? ''));
  };
  // Each process sends its own, in batches, a moment later; sidecars after five seconds.
  await eventually('the spans arrive, all linked', 60_000, async () => {
    const found = spansOf(traceId);
    const isThere = ([service, name]: (typeof WANTED)[number]) =>
      found.some((span) => span.service === service && name.test(span.name));
    return WANTED.every(isThere) && unlinkedOf(found).length === 0 ? true : undefined;
  }).catch((error: Error) => {
    throw new Error(`${error.message}; there are:\n${describe(spansOf(traceId))}`);
  });
});

test('no span holds a secret', () => {
  const spans = readFileSync(spansFile, 'utf8');
  assert.ok(spans.length > 0);
  assert.ok(!spans.includes(plane.apiToken));
});

function spansOf(traceId: string): Span[] {
  const found: Span[] = [];
  for (const line of readFileSync(spansFile, 'utf8').split('\n')) {
    // The last line may still be on its way.
    if (!line.includes(traceId) || !line.endsWith('}')) continue;
    for (const { resource, scopeSpans } of (JSON.parse(line) as Exported).resourceSpans ?? []) {
      const name = resource.attributes?.find(({ key }) => key === 'service.name');
      const service = name?.value.stringValue ?? '';
      const spans = scopeSpans.flatMap((scope) => scope.spans);
      for (const span of spans) if (span.traceId === traceId) found.push({ ...span, service });
    }
  }
  return found;
}

function describe(spans: readonly Span[]): string {
  return spans
    .map(
      ({ service, name, spanId, parentSpanId }) => `${service}: ${name} ${parentSpanId}→${spanId}`,
    )
    .join('\n');
}
