import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import type { Resource } from '@opentelemetry/resources';
import { BatchSpanProcessor, NodeTracerProvider } from '@opentelemetry/sdk-trace-node';

const QUEUE_SPANS_MAX = 8192;
const SEND_DELAY_MS = 500;

/**
 * Spans go to an OTLP collector over HTTP, in batches. A file of its own, so that it can be loaded
 * where it is needed: the packages are CommonJS, whose names a bundled `import()` does not see.
 * @param endpoint without `/v1/traces`
 */
export function createTracerProvider(endpoint: string, resource: Resource): NodeTracerProvider {
  const url = `${endpoint.replace(/\/$/, '')}/v1/traces`;
  const processor = new BatchSpanProcessor(new OTLPTraceExporter({ url }), {
    maxQueueSize: QUEUE_SPANS_MAX,
    scheduledDelayMillis: SEND_DELAY_MS,
  });
  return new NodeTracerProvider({ resource, spanProcessors: [processor] });
}
