// Appends one event, and asks each service about it: what `helm test` runs. The event is of an entity
// of its own, and stays. Node alone is needed; ends with 1 and with words where something is wrong.
const env = (name) => {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set`);
  return value;
};
const headers = {
  authorization: `Bearer ${env('MEMPLANE_TOKEN')}`,
  'content-type': 'application/json',
};
const urls = {
  ingest: env('CHECK_EVENT_INGEST_URL'),
  views: env('CHECK_MATERIALIZER_URL'),
  crdt: env('CHECK_CRDT_SYNC_URL'),
  search: env('CHECK_VECTOR_INDEX_URL'),
};
const id = process.env.CHECK_ID ?? String(Date.now());
const entity = `check/${id}`;
const words = `remembered by check ${id}`;

for (const url of Object.values(urls)) await ask('GET', `${url}/readyz`);

const appended = await ask('POST', `${urls.ingest}/v1/events`, {
  id: `check-${id}`,
  type: 'Checked',
  entity,
  attributes: { checked: true },
  memory: { id: 'words', text: words },
});
const token = appended.token;
const view = await ask(
  'GET',
  `${urls.views}/v1/entities/${entity}?after=${encodeURIComponent(token)}&waitMs=20000`,
);
expect(view.attributes.checked === true, 'the view has the attribute', view);

const found = await ask('POST', `${urls.search}/v1/search`, {
  ...{ text: words, entity, topK: 1, after: token, waitMs: 20_000 },
});
expect(found.results[0]?.memoryId === 'words', 'the search finds the memory', found);

const counter = `${urls.crdt}/v1/counters/helm_tests`;
const increment = await ask('POST', `${counter}/increments`, { by: 1, opId: `check-${id}` });
expect(increment.value >= 1, 'the counter has counted', increment);
const members = await ask('GET', `${urls.crdt}/v1/members`);
expect(members.members.length >= 1, 'crdt-sync knows its replicas', members);
console.log(`event ${entity} was appended, seen, found and counted`);

async function ask(method, url, body) {
  const answer = await fetch(url, {
    method,
    headers,
    body: body === undefined ? undefined : JSON.stringify(body),
    signal: AbortSignal.timeout(30_000),
  }).catch((cause) => {
    throw new Error(`${method} ${url}: no answer: ${cause.cause?.message ?? cause.message}`);
  });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`${method} ${url}: ${answer.status} ${text.slice(0, 500)}`);
  return JSON.parse(text);
}

function expect(isSo, what, answer) {
  if (!isSo) throw new Error(`not so: ${what}; the answer was ${JSON.stringify(answer)}`);
}
