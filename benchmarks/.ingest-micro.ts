import { parseJson } from '@memplane/runtime/json-body';
import { EventBatch } from '/work/main/benchmarks/lib/event-bodies.ts';
import { prepareEvent } from '/work/main/services/event-ingest/src/domain/prepare.ts';
import { prepareBody } from '/work/main/services/event-ingest/src/domain/prepare-body.ts';
import { checkBody } from '/work/main/services/event-ingest/src/domain/read-body.ts';
import {
  packBody,
  unpackBody,
} from '/work/main/services/event-ingest/src/prepare-thread/packed-body.ts';

const b = Array.from({ length: 8 }, (_, i) => new EventBatch(500, 10000, i));
const order = {
  tenant: 'default',
  dimensions: 768,
  defaultSource: 'x',
  now: new Date().toISOString(),
  traceparent: undefined,
};
let n = 0;
const next = () => {
  const x = b[n % 8];
  x.renumber(n * 500);
  n++;
  return x.bytes;
};
function cpu(name, fn, reps = 300) {
  for (let i = 0; i < 100; i++) fn();
  const best = [];
  for (let k = 0; k < 5; k++) {
    const c = process.cpuUsage();
    for (let i = 0; i < reps / 5; i++) fn();
    const d = process.cpuUsage(c);
    best.push((d.user + d.system) / ((reps / 5) * 500));
  }
  best.sort((a, b) => a - b);
  console.log(name.padEnd(24), best[0].toFixed(3), best[2].toFixed(3), 'us cpu/event');
}
const t = b[0].bytes;
cpu('JSON.parse only', () => JSON.parse(next().toString()));
cpu('parseJson', () => parseJson(next()));
const body = parseJson(t);
cpu('checkBody', () => checkBody(body, order));
const checked = checkBody(body, order);
cpu('prepareEvent', () => {
  for (const c of checked) prepareEvent(c.sent, { ...order, newId: () => 'x' }, 'f');
});
cpu('prepareBody', () => prepareBody(next(), order, () => 'x'));
const p = prepareBody(next(), order, () => 'x');
cpu('pack', () => packBody(p));
const pk = packBody(p);
cpu('clone', () => structuredClone(pk));
cpu('unpack', () => unpackBody(pk, 'default'));
