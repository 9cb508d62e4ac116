import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { expectStatus, Plane, planeEntry, portsInRow, ScratchFolder } from '@memplane/testkit';

const PAGE = fileURLToPath(new URL('../../docs/operations.md', import.meta.url));

/** The lines of the page as they are, but for its ports, which may be in use here. */
function drill(base: number, respPort: number): string {
  const [, text = ''] =
    /## A disaster drill\n[\s\S]*?```bash\n([\s\S]*?)```/.exec(readFileSync(PAGE, 'utf8')) ?? [];
  assert.ok(text.includes('restore --from'), 'the drill is not on the page');
  return text.replaceAll(/\b720([1-5])\b/g, (_all, digit) =>
    String(digit === '5' ? respPort : base + Number(digit) - 1),
  );
}

/** What fails half-way leaves no plane behind. */
const TIDY = `trap 'kill $(jobs -p) 2>/dev/null || true' EXIT`;

test('the disaster drill of docs/operations.md works as it is written', async () => {
  using folder = new ScratchFolder('drill');
  const ports = await portsInRow();
  await using plane = await Plane.start({ dataDir: path.join(folder.path, 'data'), ports });
  const body = Array.from({ length: 50 }, (_, i) => ({
    ...{ id: `e${i}`, type: 'Said', entity: `user/${i % 7}`, attributes: { turn: i } },
    memory: { id: `m${i % 3}`, text: `a table for ${i}` },
  }));
  await expectStatus(201, 'POST', `${plane.ingest}/v1/events`, { body });
  const bin = path.join(folder.path, 'bin');
  mkdirSync(bin);
  const command = `#!/bin/sh\nexec '${process.execPath}' '${planeEntry()}' "$@"\n`;
  writeFileSync(path.join(bin, 'memplane'), command, { mode: 0o755 });
  const other = await portsInRow();
  const script = drill(other['event-ingest'], other.resp);
  const { code, output } = await bash(`set -em\n${TIDY}\n${script}`, {
    PATH: `${bin}:${process.env['PATH']}`,
    HOME: folder.path,
    PLACE: path.join(folder.path, 'place'),
    DRILL: path.join(folder.path, 'new'),
    MEMPLANE_URL: plane.ingest,
  });
  assert.equal(code, 0, output);
  assert.match(output, /Every part is as it was written/);
  assert.match(output, /views and backup\tshard \d+\tequal/);
  assert.match(output, /consistency\tfine/);
  assert.doesNotMatch(output, /\tdifferent\t|not compared/);
  assert.equal(existsSync(path.join(folder.path, 'new')), false);
});

function bash(script: string, env: Record<string, string>) {
  return new Promise<{ code: number; output: string }>((resolve) => {
    execFile('bash', ['-c', script], { env, timeout: 90_000 }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code ?? -1), output: stdout + stderr });
    });
  });
}
