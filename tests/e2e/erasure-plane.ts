import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  type AppendAnswer,
  eventually,
  expectStatus,
  type Forms,
  formsOfText,
  formsOfVector,
  type Plane,
  type SentEvent,
} from '@memplane/testkit';

export const WAIT_MS = 120_000;

/** Of one entity: what is said of it, none of which may be found anywhere once it is erased. */
export class Secrets {
  readonly data = secret();
  readonly attribute = secret();
  readonly text = `the ${secret()} violin`;
  readonly metadata = secret();
  readonly vector = new Float32Array(768).map(() => Math.random() - 0.5);

  get forms(): Map<string, Forms> {
    return new Map([
      ['data', formsOfText(this.data)],
      ['attribute', formsOfText(this.attribute)],
      ['text', formsOfText(this.text.slice(4, 20))],
      ['metadata', formsOfText(this.metadata)],
      ['vector', formsOfVector(this.vector)],
    ]);
  }

  events(entity: string): [SentEvent, ...SentEvent[]] {
    const values = Buffer.from(this.vector.buffer).toString('base64');
    return [
      { id: `${entity}-1`, type: 'Said', entity, data: { text: `a turn ${this.data}` } },
      { id: `${entity}-2`, type: 'Noted', entity, attributes: { name: this.attribute, kind: 'a' } },
      {
        id: `${entity}-3`,
        type: 'Remembered',
        entity,
        memory: {
          id: 'm',
          text: this.text,
          metadata: { about: this.metadata },
          embedding: { model: 'waves', values },
        },
      },
      { id: `${entity}-4`, type: 'Noted', entity, attributes: { kind: 'b' }, data: this.data },
    ];
  }
}

function secret(): string {
  return `s${randomBytes(12).toString('hex')}`;
}

/**
 * A plane that seals `patient/*` and `case/*`, the latter strong as `ledger/*` is, and does everything
 * soon.
 */
export function sealingEnv(folder: string): Record<string, string> {
  const zones = join(folder, 'zones.yaml');
  const keys = join(folder, 'master-keys');
  writeFileSync(
    zones,
    'zones:\n  - {match: "patient/*", consistency: eventual, sealed: true}\n' +
      '  - {match: "case/*", consistency: strong, sealed: true}\n' +
      '  - {match: "ledger/*", consistency: strong}\n',
  );
  writeFileSync(keys, `k1:${randomBytes(32).toString('base64')}\n`, { mode: 0o600 });
  return {
    MEMPLANE_ZONES: zones,
    MEMPLANE_SEALING_KEYS: keys,
    MEMPLANE_LOG_LEVEL: 'warn',
    MEMPLANE_ARCHIVE_TICK_MS: '50',
    MEMPLANE_ARCHIVE_INTERVAL_MS: '200',
    MEMPLANE_SHARD_SNAPSHOT_EVENTS_MIN: '1',
    MEMPLANE_SHARD_SNAPSHOT_INTERVAL_MS: '300',
    MEMPLANE_ERASURE_TICK_MS: '50',
    MEMPLANE_ERASURE_POLL_MS: '100',
    MEMPLANE_INDEX_RETIRE_MS: '200',
    MEMPLANE_KEY_CACHE_MS: '200',
  };
}

export interface Receipt {
  readonly id: string;
  readonly entity: string;
  readonly isDone: boolean;
  readonly isClear?: boolean;
  readonly stores: readonly {
    readonly store: string;
    readonly isClear: boolean;
    readonly left?: number;
    readonly until?: string;
  }[];
}

export async function erase(plane: Plane, entity: string): Promise<Receipt> {
  const body = { entity, reason: 'asked for' };
  return await expectStatus(202, 'POST', `${plane.ingest}/v1/erasures`, { body });
}

/** Waits until an erasure is done. @returns its receipt */
export async function cleared(plane: Plane, { id, entity }: Receipt): Promise<Receipt> {
  return await eventually(`${entity} is cleared`, WAIT_MS, async () => {
    const now = await expectStatus<Receipt>(200, 'GET', `${plane.ingest}/v1/erasures/${id}`);
    return now.isDone ? now : undefined;
  });
}

export async function verify(plane: Plane, { id }: Receipt): Promise<Receipt> {
  const url = `${plane.ingest}/v1/erasures/${id}/verifications`;
  return await expectStatus(200, 'POST', url, { body: {} });
}

export async function append(plane: Plane, body: readonly SentEvent[]): Promise<string> {
  const url = `${plane.ingest}/v1/events`;
  return (await expectStatus<AppendAnswer>(201, 'POST', url, { body })).token;
}
