import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import {
  type AppendAnswer,
  eventually,
  expectStatus,
  Plane,
  ScratchFolder,
} from '@memplane/testkit';

interface Span {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly name: string;
  readonly startTimeUnixNano: string;
  readonly endTimeUnixNano: string;
}

interface Export {
  readonly resourceSpans: readonly {
    readonly resource: {
      readonly attributes: readonly { key: string; value: { stringValue?: string } }[];
    };
    readonly scopeSpans: readonly { readonly spans: readonly Span[] }[];
  }[];
}

/** An OTLP collector over HTTP: keeps each span with the service that it came from. */
async function startCollector() {
  const spans: (Span & { readonly service: string })[] = [];
  const server = createServer(async (request, response) => {
    const parts: Buffer[] = [];
    for await (const part of request) parts.push(part as Buffer);
    const { resourceSpans } = JSON.parse(Buffer.concat(parts).toString()) as Export;
    for (const { resource, scopeSpans } of resourceSpans) {
      const name = resource.attributes.find(({ key }) => key === 'service.name');
      const service = name?.value.stringValue ?? '';
      for (const scope of scopeSpans)
        for (const span of scope.spans) spans.push({ ...span, service });
    }
    response.writeHead(200, { 'content-type': 'application/json' }).end('{}');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return { spans, url: `http://127.0.0.1:${port}`, close: () => server.close() };
}

test('one trace goes from the append through the log to the view and to the index', async (t) => {
  const collector = await startCollector();
  t.after(() => collector.close());
  using folder = new ScratchFolder('trace');
  const env = { OTEL_EXPORTER_OTLP_ENDPOINT: collector.url };
  await using plane = await Plane.start({ dataDir: folder.path, env });
  const traceId = '4bf92f3577b34da6a3ce929d0e0e4736';
  const caller = '00f067aa0ba902b7';
  const { token } = await expectStatus<AppendAnswer>(201, 'POST', `${plane.ingest}/v1/events`, {
    headers: { traceparent: `00-${traceId}-${caller}-01` },
    body: { type: 'T', entity: 'user/42', memory: { id: 'm', text: 'a lantern' } },
  });
  await expectStatus(200, 'POST', `${plane.vectors}/v1/search`, {
    body: { text: 'lantern', after: token },
  });
  // Spans are sent in batches, a moment later.
  const wanted = ['POST /v1/events', 'apply', 'index'];
  const found = await eventually('the spans arrive', 20_000, async () => {
    const all = wanted.map((name) =>
      collector.spans.find((span) => span.traceId === traceId && span.name === name),
    );
    return all.every((span) => span !== undefined) ? all : undefined;
  });
  const [append, apply, index] = found as (Span & { service: string })[];
  assert.deepEqual(
    [append?.service, apply?.service, index?.service],
    ['event-ingest', 'materializer', 'vector-index'],
  );
  assert.equal(append?.parentSpanId, caller);
  assert.equal(apply?.parentSpanId, append?.spanId);
  assert.equal(index?.parentSpanId, append?.spanId);
  for (const span of [append, apply, index]) {
    assert.ok(BigInt(span?.endTimeUnixNano ?? 0) >= BigInt(span?.startTimeUnixNano ?? 1));
  }
});
