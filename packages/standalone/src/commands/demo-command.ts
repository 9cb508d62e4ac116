import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Memplane } from '@memplane/client';
import type { Command } from 'commander';
import { ChildPlane } from '../demo/child-plane.ts';
import { Story } from '../demo/story.ts';
import { seconds } from '../output/text.ts';

const NEXT = `
What to try next:
  make run                                            a plane of your own
  dist/memplane import FILE.jsonl                     your own events
  dist/memplane search "a quiet room"                 recall
  dist/memplane tail                                  what is appended, as it comes
  redis-cli -p 6390 CRDT.INCR tasks_processed 1       the same counters, from any Redis client
`;

/** `demo`: a story on a plane of its own, in a temporary folder and on free ports. */
export function addDemoCommand(program: Command): void {
  program
    .command('demo')
    .description('A story in under a minute: events, views, recall, the past, a crash, counters')
    .addHelpText('after', '\nExample:\n  memplane demo\n')
    .action(async (_options: unknown, command: Command) => {
      const { json } = command.optsWithGlobals<{ json: boolean }>();
      const tell = (text: string) => (json ? undefined : console.log(text));
      await demo(tell, json);
    });
}

async function demo(tell: (text: string) => void, json: boolean): Promise<void> {
  const startedAt = performance.now();
  const dataDir = await mkdtemp(join(tmpdir(), 'memplane-demo-'));
  const plane = await ChildPlane.create(dataDir);
  try {
    tell(`0. A plane starts on a temporary folder: ready after ${seconds(await plane.start())}.\n`);
    const client = new Memplane({ urls: plane.urls, source: 'agent/demo' });
    const facts = await new Story(plane, client, tell).play();
    const tookMs = Math.round(performance.now() - startedAt);
    if (json) console.log(JSON.stringify({ ...facts, tookMs }));
    tell(`\nAll of that took ${seconds(tookMs)}, and the folder is removed again.\n${NEXT}`);
  } finally {
    await plane.end('SIGTERM');
    await rm(dataDir, { recursive: true, force: true });
  }
}
