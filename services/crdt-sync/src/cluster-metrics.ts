import type { Meter } from '@opentelemetry/api';
import type { ClusterParts } from './cluster-parts.ts';
import type { ReplicationParts } from './replication-parts.ts';

const PREFIX = 'memplane.crdt';

/** Registers what the cluster counts. A replica that is alone is its only member. */
export function createClusterMetrics(
  meter: Meter,
  parts: ClusterParts | undefined,
  replication: ReplicationParts | undefined,
): void {
  meter
    .createObservableGauge(`${PREFIX}.partitions`, {
      description: 'cuts between this replica and others that an alert stands for: 0 or 1',
    })
    .addCallback((result) => result.observe(parts && parts.cutOff.length > 0 ? 1 : 0));
  meter
    .createObservableGauge(`${PREFIX}.members`, { description: 'replicas by their state' })
    .addCallback((result) => {
      const states = parts?.members.states() ?? { alive: 1, suspect: 0, dead: 0, left: 0 };
      for (const [state, count] of Object.entries(states)) result.observe(count, { state });
    });
  meter
    .createObservableGauge(`${PREFIX}.replicas.away`, {
      description: 'expected replicas that keep counters from forgetting operation ids',
    })
    .addCallback((result) => result.observe(replication?.away.ids.length ?? 0));
  if (parts === undefined) return;
  const { metrics, stats } = parts.cluster;
  const count = (name: string, description: string, read: () => number) =>
    meter
      .createObservableCounter(`${PREFIX}.${name}`, { description })
      .addCallback((result) => result.observe(read()));
  count('messages.sent', 'messages to other replicas', () => stats.sent);
  count('messages.unsent', 'messages that could not be sent', () => stats.sendsFailed);
  count('messages.unknown', 'messages on a channel nobody listens on', () => stats.unknownChannel);
  meter
    .createObservableCounter(`${PREFIX}.gossip.dropped`, {
      description: 'what gossip let go, by reason',
    })
    .addCallback((result) => {
      for (const [reason, dropped] of Object.entries(metrics.dropped)) {
        result.observe(dropped, { reason });
      }
    });
}
