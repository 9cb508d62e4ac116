import type { Meter } from '@opentelemetry/api';
import type { Engine } from './domain/engine.ts';

/** Registers what the engine and the RESP port count. */
export function createCrdtMetrics(
  meter: Meter,
  engine: Engine,
  resp: { readonly connections: number },
): void {
  const observe = (name: string, description: string, read: () => number) =>
    meter
      .createObservableGauge(`memplane.crdt.${name}`, { description })
      .addCallback((result) => result.observe(read()));
  observe('commands.queued', 'commands that wait for a commit', () => engine.queued);
  observe('names.hot', 'names kept in memory', () => engine.hotNames);
  observe('resp.connections', 'open RESP connections', () => resp.connections);
  const count = (name: string, description: string, read: () => number) =>
    meter
      .createObservableCounter(`memplane.crdt.${name}`, { description })
      .addCallback((result) => result.observe(read()));
  count('commits', 'durable batches', () => engine.stats.commits);
  count('commands.committed', 'commands in durable batches', () => engine.stats.committedCommands);
  count('commits.failed', 'batches that the storage refused', () => engine.stats.failedCommits);
}
