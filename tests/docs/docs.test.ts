import assert from 'node:assert/strict';
import { existsSync, globSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { Plane, portsInRow, ScratchFolder } from '@memplane/testkit';
import { type Block, blocksOf } from './blocks.ts';
import { markProblem, Reader } from './reader.ts';

// Every block of every page runs here, on a standalone plane; or in the test that a comment before it
// names; or the comment says why it can not.
const repository = path.resolve(import.meta.dirname, '../..');
const pages = globSync('**/*.md', {
  cwd: repository,
  exclude: (name) => name === 'node_modules' || name === 'dist' || name.startsWith('.'),
}).sort();
const read = (file: string) => readFileSync(path.join(repository, file), 'utf8');
const readTest = (file: string) =>
  existsSync(path.join(repository, file)) ? read(file) : undefined;
const isRunHere = ({ run }: Block) => run.how === 'here';

describe('the pages', () => {
  const folder = new ScratchFolder('docs');
  let plane: Plane;
  let reader: Reader;
  before(async () => {
    const ports = await portsInRow();
    plane = await Plane.start({ dataDir: path.join(folder.path, 'data'), ports });
    reader = new Reader(plane, path.join(folder.path, 'home'));
  });
  after(async () => {
    await plane[Symbol.asyncDispose]();
    folder[Symbol.dispose]();
  });

  test('each block is run here, or elsewhere, or says why not', () => {
    const blocks = pages.flatMap((page) => blocksOf(page, read(page)));
    const problems = blocks.map((block) => {
      const problem = markProblem(block, readTest);
      return problem === undefined ? [] : [`${block.page}:${block.line}: ${problem}`];
    });
    assert.deepEqual(problems.flat(), []);
    assert.ok(blocks.filter(isRunHere).length >= 8, 'there are blocks to run');
  });

  for (const page of pages) {
    const blocks = blocksOf(page, read(page)).filter(isRunHere);
    if (blocks.length > 0) test(`${page} does what it says`, () => reader.follow(blocks));
  }

  const follow = (text: string) => reader.follow(blocksOf('planted.md', text));

  test('a command that is wrong is noticed', async () => {
    await assert.rejects(follow('```sh\nmemplane serach tea\n```\n'), /ended with [1-9]/);
    await assert.rejects(
      follow('```sh\ncurl localhost:7102/v1/entity/user/42\n```\n'),
      /not_found/,
    );
    await assert.rejects(follow('```sh\nfalse | cat\necho on\n```\n'), /ended with 1/);
    await assert.rejects(follow("```ts\nthrow new Error('wrong');\n```\n"), /wrong/);
    await assert.rejects(follow('```yaml\na: [1\n```\n'));
  });

  test('a block without a language or with a wrong mark is noticed', () => {
    const problem = (mark: string, language: string) => {
      const [block] = blocksOf('docs/planted.md', `${mark}\n\n\`\`\`${language}\ntrue\n\`\`\`\n`);
      return markProblem(block as Block, readTest);
    };
    assert.equal(problem('Text.', 'sh'), undefined);
    assert.equal(problem('<!-- not run: it takes a cluster -->', ''), undefined);
    assert.match(problem('Text.', '') ?? '', /name its language/);
    assert.match(problem('<!-- not run: -->', 'make') ?? '', /name its language/);
    assert.match(problem('<!-- run by tests/nowhere.test.ts -->', 'sh') ?? '', /there is no/);
    assert.match(problem('<!-- run by tests/e2e/demo.test.ts -->', 'sh') ?? '', /runs other pages/);
  });
});
