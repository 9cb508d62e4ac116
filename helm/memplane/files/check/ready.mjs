// The standalone pod is ready once all four services are; a probe of Kubernetes asks one.
const ports = ['EVENT_INGEST', 'MATERIALIZER', 'CRDT_SYNC', 'VECTOR_INDEX'].map(
  (name) => process.env[`MEMPLANE_${name}_PORT`],
);
const answers = await Promise.all(
  ports.map((port) =>
    fetch(`http://127.0.0.1:${port}/readyz`, { signal: AbortSignal.timeout(4_000) }),
  ),
);
for (const answer of answers) if (!answer.ok) console.log(answer.url, await answer.text());
process.exit(answers.every(({ ok }) => ok) ? 0 : 1);
