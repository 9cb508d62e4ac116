import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { SpanOptions, Tracer } from '@opentelemetry/api';
import type { FeedLine } from './domain/ports.ts';
import { StoringSpans } from './storing-spans.ts';

const TRACEPARENT = `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`;

function line(partition: number, offset: number, parts: { traced?: boolean; vector?: boolean }) {
  const { traced = true, vector = true } = parts;
  const embedding = { model: 'm', values: [1] };
  const memory = { id: 'm', text: 't', ...(vector ? { embedding } : {}) };
  const event = {
    subject: 'a/1',
    data: { memory },
    ...(traced ? { traceparent: TRACEPARENT } : {}),
  };
  return { partition, offset, epoch: 0, event } as unknown as FeedLine;
}

test('a vector that came with a trace has its span once it is stored, and only once', () => {
  const seen: unknown[] = [];
  const startSpan = (name: string, { startTime, attributes }: SpanOptions) => ({
    isRecording: () => true,
    end: (endMs: number) => seen.push([name, startTime, endMs, attributes?.['offset']]),
  });
  const spans = new StoringSpans({ startSpan } as unknown as Tracer);
  const lines = [line(1, 7, {}), line(1, 8, { vector: false }), line(1, 9, { traced: false })];
  spans.indexed([...lines, line(2, 3, {})], 100);
  spans.look(() => -1, 150);
  assert.deepEqual(seen, []);
  spans.look((partition) => (partition === 1 ? 9 : 2), 200);
  assert.deepEqual(seen, [['store vector', 100, 200, 7]]);
  spans.look(() => 9, 300);
  spans.look(() => 9, 400);
  assert.deepEqual(seen.slice(1), [['store vector', 100, 300, 3]]);
});
