import type { Permit } from '@memplane/runtime';
import { Command } from '../domain/command.ts';

/** A command of a connection, which is also its place in the order of the answers. */
export class RespCommand extends Command {
  /** Undefined until it is known. */
  reply: string | undefined = undefined;
  /** Of a scan: what is asked first, and fails instead of it. */
  before: Command | undefined = undefined;
  /** Of the batch whose last command this is. */
  permit: Permit | undefined = undefined;
  /** See {@link weightOf}. */
  weight = 1;
  render: (command: Command) => string = renderNumber;
}

/**
 * For how many commands of a pipeline an answer counts, which is at most so long: those that may be
 * long count for many, so that what waits for a slow reader stays within bounds.
 */
export function weightOf(answerBytes: number): number {
  return 1 + (answerBytes >> 10);
}

/** Megabytes: no other command is taken beside it. */
export const WHOLE_SET_WEIGHT = weightOf(1024 * 1024 * 1024);

export function renderNumber(command: Command): string {
  return `:${command.outcome.number}\r\n`;
}
