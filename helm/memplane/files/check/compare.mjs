// Has each replica of crdt-sync check its values by their digests and compare them with each other
// replica, changing nothing. Ends with 1, and with what differs, where that is more than what is on
// its way.
const token = process.env.MEMPLANE_TOKEN;
const urls = (process.env.CHECK_REPLICA_URLS ?? '').split(',').filter((url) => url !== '');
if (!token || urls.length === 0) throw new Error('MEMPLANE_TOKEN or CHECK_REPLICA_URLS is not set');

const wrong = [];
for (const url of urls) {
  try {
    wrong.push(...(await compare(url)));
  } catch (error) {
    wrong.push(`${url}: ${error.cause?.message ?? error.message}`);
  }
}
if (wrong.length > 0) {
  console.error(wrong.join('\n'));
  process.exit(1);
}

async function compare(url) {
  const answer = await fetch(`${url}/v1/reconciliations`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: JSON.stringify({ dryRun: true }),
    signal: AbortSignal.timeout(600_000),
  });
  const report = await answer.json();
  if (!answer.ok) return [`${url}: ${answer.status} ${JSON.stringify(report)}`];
  const { values, compared, differences, more, digest, tookMs } = report;
  console.log(JSON.stringify({ url, values, digest, replicas: compared.length + 1, tookMs }));
  const damaged = differences.map((value) => `${url}: damaged: ${JSON.stringify(value)}`);
  if (more > 0) damaged.push(`${url}: ${more} more are damaged`);
  return [...damaged, ...compared.flatMap((other) => faultsOf(url, other))];
}

function faultsOf(url, other) {
  const name = `${url} and ${other.replica}`;
  const faults = other.differences
    .filter(({ why }) => why !== 'not yet received')
    .map((value) => `${name} differ: ${JSON.stringify(value)}`);
  if (other.failure !== undefined) faults.push(`${name}: not compared: ${other.failure}`);
  return faults;
}
