import type { Attributes, Counter, Histogram, Meter } from '@opentelemetry/api';
import type { Shard } from './shard.ts';

/** The metrics of the materializer, named as OpenTelemetry's conventions have it. */
export interface Metrics {
  /** Records of the log by `outcome`: `applied`, `duplicate` or `rejected` (an id used again). */
  readonly events: Counter;
  readonly batchRecords: Histogram;
  /** From the records' being read to their being visible. */
  readonly applyDuration: Histogram;
  /** From an event's stamp to its being visible, for the last of each batch. */
  readonly visibleAfter: Histogram;
  /** Views sent to `memory-views`, by `outcome`. */
  readonly published: Counter;
  /** Calls to crdt-sync by `outcome`. */
  readonly counterCalls: Counter;
  /** Events of the history that were removed, since they were too old. */
  readonly pruned: Counter;
}

const SECONDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5];

export function createMetrics(meter: Meter, shards: Iterable<Shard>): Metrics {
  const perShard = (name: string, unit: string, what: string, look: (shard: Shard) => number) => {
    meter.createObservableGauge(name, { unit, description: what }).addCallback((result) => {
      for (const shard of shards) {
        const attributes: Attributes = { 'messaging.destination.partition.id': shard.partition };
        result.observe(look(shard), attributes);
      }
    });
  };
  perShard('memplane.view.applied_offset', '{offset}', 'Last offset applied.', (s) => s.applied);
  perShard('memplane.view.paused', '1', 'Applying is paused or has ended.', (s) =>
    s.state === 'running' ? 0 : 1,
  );
  perShard(
    'memplane.view.rejected',
    '{event}',
    'Reused ids that got past ingest: an alert.',
    (s) => s.record.rejected,
  );
  perShard(
    'memplane.view.history_start',
    '{offset}',
    'The first offset whose history can be read.',
    (s) => s.record.historyStart,
  );
  perShard('memplane.view.lag', '{event}', 'Events in the log and not in the view.', (s) => s.lag);
  const histogram = (name: string, unit: string, bounds: number[]) =>
    meter.createHistogram(name, { unit, advice: { explicitBucketBoundaries: bounds } });
  return {
    events: meter.createCounter('memplane.view.events', { unit: '{event}' }),
    batchRecords: histogram('memplane.view.batch.records', '{event}', [1, 4, 16, 64, 256, 1024]),
    applyDuration: histogram('memplane.view.apply.duration', 's', SECONDS),
    visibleAfter: histogram('memplane.view.visible_after', 's', SECONDS),
    pruned: meter.createCounter('memplane.view.history.pruned', { unit: '{event}' }),
    published: meter.createCounter('memplane.view.published', { unit: '{view}' }),
    counterCalls: meter.createCounter('memplane.view.counter.calls', { unit: '{call}' }),
  };
}
