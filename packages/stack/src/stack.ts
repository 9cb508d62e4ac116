import { lastLines } from './server/log-tail.ts';
import { stackPlans } from './supervisor/plans.ts';
import { readRecord } from './supervisor/record.ts';
import { stackSettings } from './supervisor/settings.ts';
import { stackStatus, statusTable } from './supervisor/status.ts';
import { stackDown, stackUp } from './supervisor/up.ts';

// The commands behind `make stack-…`.
const say = (line: string) => console.error(line);

async function main(command: string | undefined, names: readonly string[]): Promise<void> {
  const settings = stackSettings();
  switch (command) {
    case 'up':
      return stackUp(settings, say);
    case 'down':
      return stackDown(settings, process.env['CLEAN'] === '1', say);
    case 'status': {
      const rows = await stackStatus(settings);
      console.log(rows.length === 0 ? 'the stack is not up' : statusTable(rows));
      if (rows.length === 0 || rows.some((row) => row.health !== 'ok')) process.exitCode = 1;
      return;
    }
    case 'logs': {
      const servers = readRecord(settings.dir);
      if (servers.length === 0) throw new Error('the stack is not up');
      for (const { name, logFile } of servers) {
        if (names.length > 0 && !names.includes(name)) continue;
        console.log(`==> ${name} (${logFile})\n${lastLines(logFile, 40)}\n`);
      }
      return;
    }
    case 'env': {
      if (readRecord(settings.dir).length === 0) {
        throw new Error('the stack is not up: `make stack-up`');
      }
      const { exports, operatorExports } = await stackPlans(settings);
      const more = process.env['OPERATOR'] === '1' ? operatorExports : {};
      for (const [name, value] of Object.entries({ ...exports, ...more })) {
        console.log(`export ${name}='${value.replaceAll("'", `'\\''`)}'`);
      }
      return;
    }
    default:
      throw new Error('usage: stack.ts up | down | status | logs [PART...] | env');
  }
}

try {
  await main(process.argv[2], process.argv.slice(3));
} catch (error) {
  say(error instanceof Error ? error.message : String(error));
  process.exitCode = 1;
}
