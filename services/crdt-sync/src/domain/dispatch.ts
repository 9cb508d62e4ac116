import type { MemplaneError } from '@memplane/contracts';
import { Command, type CommandType } from './command.ts';
import type { Engine } from './engine.ts';

/** Submits one command, and waits until it is durable. @throws MemplaneError of the command. */
export function dispatch(
  engine: Engine,
  type: CommandType,
  ref: { readonly tenant: string; readonly name: string },
  fill?: (command: Command) => void,
): Promise<Command> {
  return new Promise((resolve, reject) => {
    const command = new Command(type, ref.tenant, ref.name, (settled) => {
      const error: MemplaneError | undefined = settled.error;
      if (error === undefined) resolve(settled);
      else reject(error);
    });
    fill?.(command);
    engine.submit(command);
  });
}
