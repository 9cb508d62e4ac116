import { stopOnSignals } from '@memplane/runtime';
import type { Command } from 'commander';
import { CommandError, EXIT } from '../output/exit-codes.ts';
import { seconds } from '../output/text.ts';
import { StandalonePlane } from '../plane/plane.ts';
import { readStandaloneConfig, type StandaloneConfig } from '../plane/settings.ts';

/** `run` and what else concerns a plane as a whole. */
export function addPlaneCommands(program: Command): void {
  program
    .command('run')
    .description('Start the standalone plane in the foreground; Ctrl-C ends it')
    .addHelpText('after', '\nExample:\n  MEMPLANE_DATA_DIR=/var/lib/memplane memplane run\n')
    .action(run);
}

async function run(): Promise<void> {
  let config: StandaloneConfig;
  try {
    config = readStandaloneConfig(process.env);
  } catch (error) {
    throw new CommandError(error instanceof Error ? error.message : String(error), EXIT.usage);
  }
  const plane = await StandalonePlane.start({
    config,
    env: process.env,
    onCrash: (name, why) => {
      console.error(`memplane: ${name} has failed, so the plane ends: ${why}`);
      process.exit(EXIT.error);
    },
  });
  const { drainTimeoutMs } = config;
  stopOnSignals(plane, {
    drainTimeoutMs,
    onStopping: () => console.error('\nEnding: what was taken is finished first (again: at once).'),
    onStopped: () => console.error('Ended cleanly.'),
  });
  console.error(banner(config, performance.now()));
}

function banner(config: StandaloneConfig, readyMs: number): string {
  const { urls, respPort, dataDir } = config;
  return [
    `Memplane is ready after ${seconds(readyMs)}. Data: ${dataDir}`,
    `  append events     ${urls['event-ingest']}/v1/events`,
    `  views, history    ${urls.materializer}/v1/entities/{kind}/{id}`,
    `  search            ${urls['vector-index']}/v1/search`,
    `  counters, sets    ${urls['crdt-sync']}/v1/counters, redis-cli -p ${respPort}`,
    `Try: curl -s ${urls['event-ingest']}/v1/events -H 'content-type: application/json' \\`,
    `       -d '{"type":"Noted","entity":"user/42","attributes":{"likes":"tea"}}'`,
    `     curl -s ${urls.materializer}/v1/entities/user/42`,
    'Ctrl-C ends it.',
  ].join('\n');
}
