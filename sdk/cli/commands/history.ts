import { Command } from 'commander';
import { ago, shortDigest, size, table } from '../format.ts';
import type { Session } from '../session.ts';

const createdByWidth = 60;

export const historyCommand = (session: Session) =>
  new Command('history')
    .argument('<reference>')
    .option('--no-trunc', 'do not shorten the commands')
    .action(async (reference: string, { trunc }: { trunc: boolean }) => {
      const history = await session.client.imageHistory(reference, session.signal);
      session.print(history, () =>
        table(
          ['LAYER', 'CREATED', 'CREATED BY', 'SIZE', 'COMMENT'],
          history.map(({ layer, created, createdBy, sizeBytes, comment }) => [
            layer === null ? '-' : shortDigest(layer),
            ago(created),
            shorten(oneLine(createdBy), trunc ? createdByWidth : Number.POSITIVE_INFINITY),
            size(sizeBytes),
            oneLine(comment),
          ]),
        ),
      );
    });

const oneLine = (text: string) => text.replace(/\s+/g, ' ').trim();
const shorten = (text: string, width: number) =>
  text.length > width ? `${text.slice(0, width - 1)}…` : text;
