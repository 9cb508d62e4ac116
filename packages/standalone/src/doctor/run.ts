import { PLANE_VERSION } from '@memplane/contracts';
import { readIngestConfig } from '@memplane/event-ingest';
import type { Command } from 'commander';
import { connect, planeHttp, wholeOption } from '../commands/connection.ts';
import type { DoctorFlags } from '../commands/doctor-command.ts';
import type { Output } from '../output/output.ts';
import { dataDirOf } from '../plane/data-dir.ts';
import { type Diagnosis, diagnose } from './doctor.ts';
import { PlaneState } from './plane-state.ts';

export async function runDoctor(options: DoctorFlags, command: Command): Promise<void> {
  const { output } = connect(command);
  const { env } = process;
  const settings = {
    sample_entities: wholeOption('--sample', options.sample, 0, 200),
    lag_events_max: wholeOption('--lag', options.lag, 0, Number.MAX_SAFE_INTEGER),
    archive_lag_bytes_max: readIngestConfig(env).archive_lag_bytes_max,
    dataDir: options.dataDir ?? dataDirOf(env),
    version: PLANE_VERSION,
  };
  const diagnosis = await diagnose(new PlaneState(planeHttp(command), settings, Date.now));
  output.document(diagnosis, () => show(output, diagnosis));
  process.exitCode = diagnosis.exitCode;
}

function show(output: Output, { checks }: Diagnosis): void {
  output.table(
    ['check', 'outcome', ''],
    checks.map(({ check, outcome, findings, reason }) => [
      check,
      outcome,
      reason ?? findings.map(({ code }) => code).join(', '),
    ]),
  );
  const found = checks.flatMap(({ findings }) => findings);
  if (found.length === 0) return;
  output.line('');
  output.table(
    ['finding', 'severity', 'about', 'detail', 'what to do'],
    found.map(({ code, severity, about, detail, advice }) => [
      code,
      severity,
      about,
      detail,
      advice,
    ]),
  );
}
