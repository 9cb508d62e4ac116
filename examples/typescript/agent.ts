/**
 * An agent in TypeScript: remembers, recalls, reads the past, raises a counter, follows views.
 *
 * `@memplane/client` through the agent's sidecar; addresses and token come from DAPR_HTTP_ENDPOINT and
 * DAPR_API_TOKEN. Ends with 0 when all it did is there again, and with words otherwise.
 */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { Memplane } from '@memplane/client';

const PATIENCE_MS = 60_000;
const run = randomUUID().slice(0, 8);
const userId = `typescript-${run}`;
const entity = `user/${userId}`;
const memory = new Memplane({
  dapr: {
    endpoint: process.env['DAPR_HTTP_ENDPOINT'] ?? 'http://127.0.0.1:3500',
    apiToken: process.env['DAPR_API_TOKEN'] ?? '',
  },
  waitMs: 20_000,
});

// Remember and recall: the search includes what was just added.
await memory.add('Prefers window seats', { userId, metadata: { topic: 'travel' } });
const [hit] = await memory.search('which window seats?', { userId });
assert.equal(hit?.text, 'Prefers window seats');

// Events and the view of an entity, now and as of an earlier event.
const first = await memory.append({ type: 'Moved', entity, attributes: { city: 'Oslo' } });
await memory.append({ type: 'Moved', entity, attributes: { city: 'Bergen' } });
assert.deepEqual((await memory.entity(entity))?.attributes, { city: 'Bergen' });
const then = await memory.entity(entity, { asOf: `event:${first.id}` });
assert.deepEqual(then?.attributes, { city: 'Oslo' });

// A counter; the operation's id makes a repetition harmless.
const counter = memory.counter(`typescript-${run}`);
for (const opId of ['a', 'b', 'b']) await counter.increment(5, { opId });
assert.equal(await counter.get(), 10);

// Published, not invoked; then followed in the feed of views, from the place of the last append.
await memory.publish({ type: 'Moved', entity, attributes: { city: 'Tromsø' } });
const patience = AbortSignal.timeout(PATIENCE_MS);
const views = memory.feed('memory-views', {
  partition: first.partition,
  from: first.offset,
  signal: patience,
});
for await (const { view } of views as AsyncIterable<{ view: View }>) {
  if (view.entity === entity && view.attributes['city'] === 'Tromsø') break;
}
assert.ok(!patience.aborted, 'the view did not come in time');
console.log('typescript agent: added, recalled, appended, counted, published, followed: all well');

interface View {
  readonly entity: string;
  readonly attributes: Readonly<Record<string, unknown>>;
}
