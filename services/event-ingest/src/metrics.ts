import type { Counter, Histogram, Meter } from '@opentelemetry/api';
import type { StoredState } from './domain/quotas/stored-limits.ts';
import type { QuotaState } from './domain/quotas/tenant-rates.ts';

/** What the gauges look at. */
export interface IngestGauges {
  readonly inflightEvents: () => number;
  readonly inflightBytes: () => number;
  readonly recentIds: () => number;
  readonly archiveLagBytes: () => number;
  readonly viewLagEvents: () => number;
  readonly indexLagEvents: () => number;
  readonly archive_lag_bytes_max: () => number;
  readonly clockAheadMs: () => number;
  readonly quotas: () => readonly ((QuotaState | StoredState) & { readonly tenant: string })[];
}

/** The metrics of event-ingest, named as OpenTelemetry's conventions have it. */
export interface IngestMetrics {
  /** Events by `outcome`: `appended` or `duplicate`. */
  readonly events: Counter;
  /** Bytes handed to the log. */
  readonly bytes: Counter;
  /** From the hand-over to the log until the events are durable. */
  readonly appendDuration: Histogram;
  /** Of the events of one strong entity, until they are decided and durable. */
  readonly strongDuration: Histogram;
  /** Failed appends by `error.type`. */
  readonly failures: Counter;
}

const SECONDS = {
  unit: 's',
  advice: {
    explicitBucketBoundaries: [
      0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5,
    ],
  },
};

export function createIngestMetrics(meter: Meter, gauges: IngestGauges): IngestMetrics {
  const observe = (name: string, unit: string, description: string, look: () => number) => {
    meter.createObservableGauge(name, { unit, description }).addCallback((r) => r.observe(look()));
  };
  const { inflightEvents, inflightBytes, recentIds, archiveLagBytes, clockAheadMs } = gauges;
  const { viewLagEvents, indexLagEvents } = gauges;
  const { archive_lag_bytes_max: lagMax } = gauges;
  observe('memplane.ingest.inflight.events', '{event}', 'Waiting for the log.', inflightEvents);
  observe('memplane.ingest.inflight.bytes', 'By', 'Waiting for the log.', inflightBytes);
  observe('memplane.ingest.recent_ids', '{id}', 'Kept to recognise repetitions.', recentIds);
  observe('memplane.ingest.archive.lag', 'By', 'Archive behind the log.', archiveLagBytes);
  observe('memplane.ingest.view.lag', '{event}', 'Views behind the log.', viewLagEvents);
  observe('memplane.ingest.index.lag', '{event}', 'Index behind the log.', indexLagEvents);
  observe('memplane.ingest.archive.lag.max', 'By', 'Beyond it, appends are refused.', lagMax);
  observe('memplane.clock.ahead', 'ms', 'Stamps ahead of the physical clock.', clockAheadMs);
  observeQuotas(meter, gauges.quotas);
  return {
    events: meter.createCounter('memplane.ingest.events', { unit: '{event}' }),
    bytes: meter.createCounter('memplane.ingest.bytes', { unit: 'By' }),
    appendDuration: meter.createHistogram('memplane.ingest.append.duration', SECONDS),
    strongDuration: meter.createHistogram('memplane.ingest.strong.duration', SECONDS),
    failures: meter.createCounter('memplane.ingest.append.failures', { unit: '{request}' }),
  };
}

/** Of the tenants that have a limit and have used of it. */
function observeQuotas(meter: Meter, quotas: IngestGauges['quotas']): void {
  const used = meter.createObservableGauge('memplane.ingest.quota.used', {
    description: 'Of a second, and not given back by time yet; or stored, as the views told last.',
  });
  const limit = meter.createObservableGauge('memplane.ingest.quota.limit');
  meter.addBatchObservableCallback(
    (result) => {
      for (const state of quotas()) {
        if (state.value === undefined) continue;
        const attributes = { tenant: state.tenant, limit: state.limit };
        result.observe(used, state.used, attributes);
        result.observe(limit, state.value, attributes);
      }
    },
    [used, limit],
  );
}
