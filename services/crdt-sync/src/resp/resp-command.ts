import { Command } from '../domain/command.ts';

/** A command of a connection, which is also its place in the order of the answers. */
export class RespCommand extends Command {
  /** Undefined until it is known. */
  reply: string | undefined = undefined;
  /** Of a scan: what is asked first, and fails instead of it. */
  before: Command | undefined = undefined;
  render: (command: Command) => string = renderNumber;
}

export function renderNumber(command: Command): string {
  return `:${command.outcome.number}\r\n`;
}
