import type { Command } from 'commander';
import { BackupReader } from '../backup/backup-reader.ts';
import type { Manifest } from '../backup/manifest.ts';
import { openPlace } from '../backup/place.ts';
import { connect, planeHttp } from '../commands/connection.ts';
import type { VerifyFlags } from '../commands/verify-command.ts';
import { DOCTOR_EXIT } from '../doctor/doctor.ts';
import { Stages } from '../output/stages.ts';
import { verify } from './verify.ts';

/** Shards begin with their snapshots, which takes a while after a restoration. */
const START_TIMEOUT_MS = 5 * 60_000;

export async function runVerify(options: VerifyFlags, command: Command): Promise<void> {
  const { output } = connect(command);
  const manifest = options.backup === undefined ? undefined : await manifestAt(options.backup);
  const stages = new Stages();
  const comparisons = await verify({
    plane: planeHttp(command),
    manifest,
    startTimeoutMs: START_TIMEOUT_MS,
    stages,
  }).finally(() => stages.stop());
  const isDifferent = comparisons.some(({ outcome }) => outcome === 'different');
  const isPartial = comparisons.some(({ outcome }) => outcome === 'not compared');
  output.document({ equal: !isDifferent && !isPartial, comparisons }, () => {
    output.table(
      ['compared', 'about', 'outcome', 'detail'],
      comparisons.map(({ what, about, outcome, detail }) => [what, about, outcome, detail]),
    );
  });
  if (isDifferent) process.exitCode = DOCTOR_EXIT.findings;
  else if (isPartial) process.exitCode = DOCTOR_EXIT.unchecked;
}

async function manifestAt(spec: string): Promise<Manifest> {
  const place = await openPlace(spec, true, process.env);
  try {
    return (await BackupReader.open(place.blobs)).manifest;
  } finally {
    place.close();
  }
}
