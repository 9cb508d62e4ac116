import type { Quotas } from '@memplane/contracts';
import type { Command } from 'commander';
import { Output } from '../output/output.ts';
import { planeHttp } from './connection.ts';

/** What a tenant may append in a second, and have stored. */
export function addQuotasCommand(program: Command): void {
  program
    .command('quotas')
    .description("The limits of the token's tenant, and how much of them is used")
    .addHelpText('after', '\nExample:\n  memplane quotas\n')
    .action(async (_options: unknown, command: Command) => {
      const output = new Output(command.optsWithGlobals<{ json: boolean }>());
      const answer = await planeHttp(command).json<Quotas>('event-ingest', '/v1/quotas');
      output.document(answer, () => {
        const rows = answer.quotas.map(({ limit, value, used }) => [limit, value ?? 'none', used]);
        output.table(['limit', 'value', 'used'], rows);
      });
    });
}
