import { mkdirSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { freePorts } from '@memplane/testkit/ports';
import { OTELCOL_VERSION, otelcolBinary } from '../build/go.ts';
import type { ServerPlan } from './plan.ts';

const TIMEOUT_MS = 3_000;

export interface OtelcolOptions {
  readonly dir: string;
  readonly port?: number;
}

export interface OtelcolPlan extends ServerPlan {
  /** OTLP over HTTP. */
  readonly endpoint: string;
  /** What it received, as JSON lines: one `resourceSpans` document each. */
  readonly spansFile: string;
}

/** A collector that keeps the spans it is sent in a file. */
export async function otelcolPlan(options: OtelcolOptions): Promise<OtelcolPlan> {
  const command = await otelcolBinary();
  const port = options.port ?? (await freePorts(1))[0] ?? 0;
  const { dir } = options;
  const spansFile = join(dir, 'spans.jsonl');
  const settings = {
    receivers: { otlp: { protocols: { http: { endpoint: `127.0.0.1:${port}` } } } },
    exporters: { file: { path: spansFile, flush_interval: '200ms' } },
    service: {
      pipelines: { traces: { receivers: ['otlp'], exporters: ['file'] } },
      telemetry: { metrics: { level: 'none' } },
    },
  };
  return {
    name: 'otelcol',
    version: OTELCOL_VERSION,
    command,
    args: ['--config', join(dir, 'otelcol.json')],
    cwd: dir,
    env: {},
    ports: [port],
    logFile: join(dir, 'otelcol.log'),
    prepare: async () => {
      mkdirSync(dir, { recursive: true });
      // JSON is YAML.
      writeFileSync(join(dir, 'otelcol.json'), JSON.stringify(settings));
    },
    check: () => accepts(port),
    readyTimeoutMs: 30_000,
    stopTimeoutMs: 10_000,
    endpoint: `http://127.0.0.1:${port}`,
    spansFile,
  };
}

function accepts(port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1', timeout: TIMEOUT_MS });
    socket.once('connect', () => {
      socket.destroy();
      resolve();
    });
    socket.once('timeout', () => socket.destroy(new Error(`port ${port} does not answer`)));
    socket.once('error', reject);
  });
}
