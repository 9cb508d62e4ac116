import {
  type Attributes,
  type Meter,
  propagation,
  ROOT_CONTEXT,
  SpanKind,
  SpanStatusCode,
  type Context as TraceContext,
  type Tracer,
  trace,
} from '@opentelemetry/api';
import { W3CTraceContextPropagator } from '@opentelemetry/core';
import { PrometheusExporter, PrometheusSerializer } from '@opentelemetry/exporter-prometheus';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { MeterProvider } from '@opentelemetry/sdk-metrics';

export interface TelemetryConfig {
  readonly serviceName: string;
  readonly version: string;
  /** OTLP over HTTP; no spans are recorded without it, but `traceparent` is still passed on. */
  readonly otlpEndpoint: string | undefined;
  /** The longest that flushing may take at the end. */
  readonly flushTimeoutMs: number;
}

/** One service's traces and metrics. Several services of one process each have their own. */
export interface Telemetry {
  readonly tracer: Tracer;
  readonly meter: Meter;
  /** The metrics in Prometheus' text format. */
  metricsText(): Promise<string>;
  stop(): Promise<void>;
}

/** The trace context of CloudEvents' distributed tracing extension and of HTTP headers. */
export const traceparentOf = (trace: TraceContext): string | undefined => {
  const carrier: Record<string, string> = {};
  propagation.inject(trace, carrier);
  return carrier['traceparent'];
};

/** Continues the trace that a `traceparent` names; a fresh one when there is none. */
export function traceFrom(traceparent: string | undefined): TraceContext {
  return traceparent === undefined
    ? ROOT_CONTEXT
    : propagation.extract(ROOT_CONTEXT, { traceparent });
}

export async function createTelemetry(config: TelemetryConfig): Promise<Telemetry> {
  propagation.setGlobalPropagator(new W3CTraceContextPropagator());
  const resource = resourceFromAttributes({
    'service.name': config.serviceName,
    'service.version': config.version,
  });
  const exporter = new PrometheusExporter({ preventServerStart: true });
  const meters = new MeterProvider({ resource, readers: [exporter] });
  const serializer = new PrometheusSerializer();
  const tracing = await createTracing(config, resource);
  return {
    tracer: tracing.tracer,
    meter: meters.getMeter('memplane', config.version),
    async metricsText() {
      const { resourceMetrics } = await exporter.collect();
      return serializer.serialize(resourceMetrics);
    },
    async stop() {
      await Promise.race([
        Promise.allSettled([tracing.stop(), meters.shutdown()]),
        new Promise((resolve) => setTimeout(resolve, config.flushTimeoutMs).unref()),
      ]);
    },
  };
}

/** The SDK for spans is only loaded where there is somewhere to send them: it costs start-up time. */
async function createTracing(
  config: TelemetryConfig,
  resource: ReturnType<typeof resourceFromAttributes>,
): Promise<{ tracer: Tracer; stop: () => Promise<void> }> {
  const { otlpEndpoint, version } = config;
  if (!otlpEndpoint) return { tracer: trace.getTracer('memplane'), stop: async () => {} };
  const { createTracerProvider } = await import('./tracer-provider.ts');
  const provider = createTracerProvider(otlpEndpoint, resource);
  return { tracer: provider.getTracer('memplane', version), stop: () => provider.shutdown() };
}

export { SpanKind };

/** An event of a batch, whose trace goes on with what was done for the batch. */
export interface TracedEvent {
  readonly traceparent: string;
  readonly entity: string;
  readonly offset: number;
}

/** When the work on a batch began and ended, in ms since 1970. */
export interface BatchWork {
  readonly startMs: number;
  readonly endMs: number;
  readonly kind?: SpanKind;
}

/**
 * Continues the trace of each event with a span of work that was done for all of them at once. Costs
 * nothing where no spans are recorded: it stops at the first event.
 */
export function recordSpans(
  tracer: Tracer,
  name: string,
  work: BatchWork,
  events: Iterable<TracedEvent>,
): void {
  const { startMs, endMs, kind = SpanKind.INTERNAL } = work;
  for (const { traceparent, entity, offset } of events) {
    const attributes = { 'memplane.entity': entity, offset };
    const options = { startTime: startMs, kind, attributes };
    const span = tracer.startSpan(name, options, traceFrom(traceparent));
    if (!span.isRecording()) return;
    span.end(endMs);
  }
}

/** Runs work within a span of the given parent; records errors and ends it. */
export async function inSpan<T>(
  tracer: Tracer,
  name: string,
  options: { parent: TraceContext; kind?: SpanKind; attributes?: Attributes },
  work: (trace: TraceContext) => Promise<T>,
): Promise<T> {
  const { parent, kind = SpanKind.INTERNAL, attributes = {} } = options;
  const span = tracer.startSpan(name, { kind, attributes }, parent);
  // Without a recording SDK the parent is passed on as it came.
  const inner = span.isRecording() ? trace.setSpan(parent, span) : parent;
  try {
    return await work(inner);
  } catch (error) {
    span.recordException(error instanceof Error ? error : String(error));
    span.setStatus({ code: SpanStatusCode.ERROR });
    throw error;
  } finally {
    span.end();
  }
}
